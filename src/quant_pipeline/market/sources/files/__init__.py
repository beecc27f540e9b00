"""Bars from files of the user, in any layout of `layouts.LAYOUTS`."""

from quant_pipeline.market.sources.files.options import FilesMarketParameters, FilesSourceParameters
from quant_pipeline.market.sources.files.reading import FILES, read_market_files

__all__ = ["FILES", "FilesMarketParameters", "FilesSourceParameters", "read_market_files"]
