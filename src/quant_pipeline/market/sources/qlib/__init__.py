"""Bars from a data provider of Qlib: what others have dumped, or `market.qlib_provider` has written."""

from quant_pipeline.market.sources.qlib.options import QlibSourceParameters
from quant_pipeline.market.sources.qlib.reading import QLIB, read_provider

__all__ = ["QLIB", "QlibSourceParameters", "read_provider"]
