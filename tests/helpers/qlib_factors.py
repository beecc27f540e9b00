"""Values as Qlib itself computes them, and real bars with holes to compute them from."""

from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from quant_pipeline.market import qlib_provider
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.qlib_provider import write_provider
from quant_pipeline.market.sources.files import FilesMarketParameters, read_market_files

PRICES = ["open", "high", "low", "close", "vwap"]
ULP = np.finfo("float32").eps
SIX = ["AAPL", "AMZN", "BAC", "GE", "KO", "XOM"]
ACROSS = re.compile(r"\b(CSRank|CSScale|CSNeutralize)\(")


def read_real_bars(folder: Path, instruments: list[str]) -> pd.DataFrame:
    """Twenty years of adjusted bars of some instruments."""
    market = read_market_files(folder, FilesMarketParameters(bars="us_daily.parquet"), as_of="2020-06-30")
    adjusted = adjust_bars(market.bars, market.corporate_actions)
    return adjusted[adjusted["instrument"].isin(instruments)].reset_index(drop=True)


def with_holes(bars: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Take out bars at random, suspensions, and in as many others the volume or the price of the session."""
    random = np.random.default_rng(seed)
    bars = bars[random.random(len(bars)) >= share].reset_index(drop=True)
    for column in ("volume", "vwap", "close"):
        bars.loc[random.random(len(bars)) < share / 4, column] = np.nan
    return bars


class QlibOracle:
    """A provider of Qlib over some bars, and what Qlib computes from it.

    Parameters
    ----------
    bars
        Adjusted bars.
    sessions
        The calendar.
    folder
        Where to write the provider.
    custom
        Classes of operators to register.
    """

    def __init__(self, bars: pd.DataFrame, sessions: pd.DatetimeIndex, folder: Path, custom: tuple[type, ...] = ()):
        import qlib
        from qlib.data.cache import H

        write_provider(bars, sessions, folder)
        qlib.init(
            provider_uri=str(folder),
            region="us",
            logging_level=logging.ERROR,
            kernels=1,
            clear_mem_cache=True,
            custom_ops=[_stored_operator(self), *custom],
        )
        H.clear()
        self.sessions = sessions
        days = sessions.get_indexer(pd.DatetimeIndex(bars["date"]))
        spans = pd.Series(days).groupby(bars["instrument"].to_numpy())
        self.spans = {str(name): (int(places.min()), int(places.max())) for name, places in spans}
        self.traded = pd.MultiIndex.from_arrays([bars["instrument"].astype(object), days])
        self.stored: dict[tuple[str, str], pd.Series] = {}

    def load(self, expression: str, instrument: str) -> pd.Series:
        """Evaluate over the whole history, in the precision that Qlib's operators leave."""
        from qlib.data.data import ExpressionD

        first, last = self.spans[instrument]
        tree = ExpressionD.get_expression_instance(expression)
        with np.errstate(all="ignore"):
            series = tree.load(instrument, 0, len(self.sessions) - 1, "day")
        return series.reindex(np.arange(first, last + 1))

    def evaluate(self, expression: str) -> pd.Series:
        """Evaluate for all instruments; what Qlib has no operator for, ranks across instruments, pandas computes."""
        return self.joined(expression).astype("float32")

    def joined(self, expression: str) -> pd.Series:
        while (found := ACROSS.search(expression)) is not None:
            begin, stop, arguments = _innermost(expression, found.start())
            key = f"s{len(self.stored)}"
            operator = expression[begin : expression.index("(", begin)]
            series = [self.joined(argument) for argument in arguments]
            # Whether a suspended instrument trades again is known later only: it is in no cross-section.
            values = _across(operator, [each.where(each.index.isin(self.traded)) for each in series])
            for instrument, series in values.groupby(level=0):
                self.stored[key, str(instrument)] = series.droplevel(0)
            expression = f"{expression[:begin]}Stored({key[1:]}){expression[stop:]}"
        return pd.concat({name: self.load(expression, name) for name in self.spans})


def _innermost(expression: str, begin: int) -> tuple[int, int, list[str]]:
    """Return the span and the arguments of the innermost call across instruments, from the first such call on."""
    depth, at = 0, expression.index("(", begin)
    arguments, start = [], at + 1
    for index in range(at, len(expression)):
        sign = expression[index]
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 1:
            arguments.append(expression[start:index])
            start = index + 1
        if sign == ")" and depth == 0:
            arguments.append(expression[start:index])
            inner = ACROSS.search(expression[at + 1 : index])
            if inner is not None:
                return _innermost(expression, at + 1 + inner.start())
            return begin, index + 1, arguments
    raise ValueError(f"brackets do not close in {expression}")


def _across(operator: str, series: list[pd.Series]) -> pd.Series:
    values = series[0].astype("float64")
    days = values.index.get_level_values(1)
    if operator == "CSRank":
        return values.groupby(days).rank(pct=True)
    if operator == "CSScale":
        return values / values.abs().groupby(days).transform("sum")
    groups = series[1].to_numpy()
    return values - values.groupby([days, groups]).transform("mean")


def _stored_operator(oracle: QlibOracle) -> type:
    from qlib.data.base import ExpressionOps

    class Stored(ExpressionOps):
        """A series that was computed already."""

        def __init__(self, number: int):
            self.number = number

        def __str__(self) -> str:
            return f"Stored({self.number})"

        def _load_internal(self, instrument: str, start_index: int, end_index: int, *args) -> pd.Series:
            return oracle.stored[f"s{self.number}", instrument].copy()

        def get_longest_back_rolling(self) -> int:
            return 0

        def get_extended_window_size(self) -> tuple[int, int]:
            return 0, 0

    return Stored


def both(ours, oracle, name, expression):
    """Values of one factor, ours and Qlib's, row by row."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        theirs = oracle.evaluate(expression)
    mine = ours[name].unstack("datetime").stack(future_stack=True)
    assert len(theirs) <= len(mine)
    days = oracle.sessions[theirs.index.get_level_values(1)]
    names = theirs.index.get_level_values(0)
    return mine.reindex(pd.MultiIndex.from_arrays([names, days])).to_numpy(), theirs.to_numpy()


def assert_equal(ours, theirs, relative, absolute, name):
    assert np.array_equal(np.isnan(ours), np.isnan(theirs)), f"{name} is missing on other rows than Qlib's"
    with np.errstate(all="ignore"):
        apart = np.abs(ours.astype("float64") - theirs) > relative * np.abs(theirs) + absolute
    apart &= ours != theirs
    assert not apart.any(), f"{name}: {ours[apart][:3]} against {theirs[apart][:3]}"


def one_series(**fields):
    """Bars of one instrument."""
    days = pd.bdate_range("2020-01-06", periods=len(next(iter(fields.values()))))
    table = pd.DataFrame({"date": days, "instrument": "ONE"} | {name: np.float32(v) for name, v in fields.items()})
    for name in qlib_provider.FIELDS:
        table[name] = table.get(name, 1.0)
    return table, days
