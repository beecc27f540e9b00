"""The source ``china``: exports of A-shares where a folder of them is named, else the embedded Chinese market."""

from __future__ import annotations

import pandas as pd

from quant_pipeline.common.parameters import LocalPath
from quant_pipeline.market.chinese_codes import chinese_code
from quant_pipeline.market.data import MarketData
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.simulated_china import SimulatedChinaParameters, generate_chinese_market
from quant_pipeline.market.sources.source import MarketRequest, MarketSource


class ChinaParameters(FilesMarketParameters):
    """The block of the source ``china``: the options of files, and the embedded market that stands in for them.

    Attributes
    ----------
    folder
        Files of tushare, akshare, baostock or another vendor; None takes the embedded market.
    simulated
        That market.
    """

    calendar: str = "XSHG"
    folder: LocalPath | None = None
    simulated: SimulatedChinaParameters = SimulatedChinaParameters()


def _read(parameters: ChinaParameters, request: MarketRequest) -> MarketData:
    if parameters.folder is None:
        return _simulate(parameters.simulated, pd.Timestamp(request.as_of))
    from quant_pipeline.market.sources.files.reading import read_market_files

    return read_market_files(parameters.folder, parameters, request.as_of, request.cache)


def _simulate(parameters: SimulatedChinaParameters, as_of: pd.Timestamp) -> MarketData:
    """Return the embedded market; the names of shares under special treatment begin with ST, as at the exchanges."""
    market = generate_chinese_market(parameters).as_of(as_of)
    treated = {
        row.prefix
        for row in parameters.special_treatment
        if row.since <= as_of.date() and (row.until is None or as_of.date() < row.until)
    }
    marked = market.instruments["instrument"].map(lambda name: chinese_code(name) in treated)
    market.instruments["name"] = market.instruments["name"].mask(marked, "ST" + market.instruments["name"])
    return market


CHINA = MarketSource(ChinaParameters, _read)
