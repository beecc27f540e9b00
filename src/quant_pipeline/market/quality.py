"""Checks of as-traded bars: what looks wrong is listed with a severity, nothing is repaired in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import PositiveFloat, PositiveInt

from quant_pipeline.common.parameters import Parameters
from quant_pipeline.common.row_blocks import row_blocks
from quant_pipeline.market.dates import places_in
from quant_pipeline.market.delistings import silent_since
from quant_pipeline.market.instrument_rows import begins, change_from_row_before, number_instruments
from quant_pipeline.market.price_adjustment import adjustment_factors

COLUMNS = ["instrument", "date", "check", "severity", "value", "detail"]
LARGE_MOVE = 0.5
"""Unexplained move of a close, as a fraction, from which on it is an error and no warning."""
BY_EFFECT = (
    "unexplained_move", "odd_split", "vendor_step", "same_bars", "possible_rename", "duplicate", "no_session",
    "row_left_out", "instrument_left_out", "file_left_out", "vendor_adjustment", "derived_split", "derived_dividend",
    "no_actions", "adjusted_by_name", "benchmark_gap", "benchmark_late", "calendar_unsure", "outside_hours",
    "no_adjusted_close", "moved_action", "bar_consistency", "ended", "gap", "no_price", "suspended",
    "duplicate_row", "intraday_row",
    "index_left_out", "no_bars",
    "before_calendar", "excluded", "resampled", "benchmark_left_out", "constant_price", "zero_volume", "renamed",
    "unlisted", "footer", "litter",
)  # fmt: skip
"""Checks by what they can do to returns, the most harmful first."""


def no_findings() -> pd.DataFrame:
    """Return a table of findings without rows."""
    empty = pd.DataFrame({name: pd.Series(dtype="str") for name in COLUMNS})
    return empty.astype({"date": "datetime64[ns]", "value": "float64"})


def order_by_effect(findings: pd.DataFrame) -> pd.DataFrame:
    """Sort findings by what they can do to returns: errors first, then by check, then the largest value."""
    keys = findings.assign(
        calm=findings["severity"] != "error", rank=findings["check"].map(effect_rank), size=-findings["value"].abs()
    )
    order = keys.sort_values(["calm", "rank", "size", "instrument", "date"], kind="stable").index
    return findings.loc[order].reset_index(drop=True)


def effect_rank(check: str) -> int:
    """Return the place of a check in `BY_EFFECT`; an unknown one comes first."""
    return BY_EFFECT.index(check) if check in BY_EFFECT else -1


class QualityParameters(Parameters):
    """Thresholds of the checks.

    Attributes
    ----------
    max_move
        Adjusted close-to-close move, as a fraction, above which a jump is listed.
    max_constant_sessions
        Sessions with the same close after which a price counts as stale.
    max_vendor_difference
        Largest relative difference between the vendor's adjusted close and ours.
    max_silent_sessions
        Sessions without a bar up to the newest one after which an instrument that is not delisted is listed.
    """

    renamed: ClassVar[Mapping[str, str]] = {
        "largest_move": "max_move",
        "longest_constant": "max_constant_sessions",
        "longest_silence": "max_silent_sessions",
        "vendor_tolerance": "max_vendor_difference",
    }

    max_move: PositiveFloat = 0.4
    max_constant_sessions: PositiveInt = 10
    max_vendor_difference: PositiveFloat = 0.001
    max_silent_sessions: PositiveInt = 10


def check_bars(
    bars: pd.DataFrame, corporate_actions: pd.DataFrame, sessions: pd.DatetimeIndex, parameters: QualityParameters
) -> pd.DataFrame:
    """Run every check.

    Parameters
    ----------
    bars
        As traded, sorted by ``instrument`` and ``date``.
    corporate_actions
        Splits and dividends, which explain jumps, and delistings, which explain that bars stop.
    sessions
        Sessions of the exchange over the whole history.
    parameters
        Thresholds.

    Returns
    -------
    pandas.DataFrame
        ``instrument``, ``date``, ``check``, ``severity`` (``error`` or ``warning``), ``value``, ``detail``, sorted;
        empty when nothing was found.
    """
    first = begins(number_instruments(bars)[0])
    places = places_in(sessions, bars["date"].to_numpy())
    adjusted = bars["close"] * adjustment_factors(bars, corporate_actions)
    found = [
        _inconsistent(bars),
        _duplicated(bars, first),
        _outside_sessions(bars, places),
        _gaps(bars, first, places),
        _without_volume(bars),
        _unexplained_moves(bars, first, adjusted, parameters.max_move),
        _constant(bars, first, parameters.max_constant_sessions),
        _ended(bars, corporate_actions, sessions, parameters.max_silent_sessions),
    ]
    if "vendor_adjusted_close" in bars:
        found.append(_vendor_differences(bars, adjusted, parameters.max_vendor_difference))
    table = pd.concat([part.astype({"value": float, "detail": str}) for part in found], ignore_index=True)
    return table.sort_values(["instrument", "date", "check"], kind="stable", ignore_index=True)


def compare_with_vendor(bars: pd.DataFrame, corporate_actions: pd.DataFrame) -> pd.DataFrame:
    """Compare the vendor's adjusted close with the one recomputed from its splits and dividends.

    Returns
    -------
    pandas.DataFrame
        ``instrument``, ``largest_difference`` (relative), ``date`` of the largest single step between the two series,
        ``step`` (its relative size) — a step means an action that one of the two does not know.
    """
    return _steps_against_vendor(bars, bars["close"] * adjustment_factors(bars, corporate_actions))


def _steps_against_vendor(bars: pd.DataFrame, adjusted: pd.Series) -> pd.DataFrame:
    ratio = adjusted / bars["vendor_adjusted_close"]
    # The vendor may have published after later actions: only the shape of the two series is comparable.
    relative = ratio / ratio.groupby(bars["instrument"], sort=True).transform("last") - 1.0
    by_instrument = relative.groupby(bars["instrument"], sort=True)
    step = by_instrument.diff().abs().fillna(0.0)
    where = step.groupby(bars["instrument"], sort=True).idxmax()
    return pd.DataFrame(
        {
            "instrument": where.index,
            "largest_difference": relative.abs().groupby(bars["instrument"], sort=True).max().to_numpy(),
            "date": bars.loc[where, "date"].to_numpy(),
            "step": step.loc[where].to_numpy(),
        }
    )


def _findings(rows: pd.DataFrame, check: str, severity: object, value: object, detail: object) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "instrument": rows["instrument"].to_numpy(),
            "date": rows["date"].to_numpy(),
            "check": check,
            "severity": severity,
            "value": value,
            "detail": detail,
        },
        columns=COLUMNS,
    )


def _inconsistent(bars: pd.DataFrame) -> pd.DataFrame:
    beyond, wrong = np.empty(len(bars)), np.empty(len(bars), dtype=np.bool_)
    prices = [bars[name].to_numpy() for name in ("open", "high", "low", "close")]
    for rows in row_blocks(len(bars)):
        opened, high, low, close = (price[rows] for price in prices)
        beyond[rows] = np.maximum(low - np.fmin(opened, close), np.fmax(opened, close) - high)
        wrong[rows] = beyond[rows] > 1e-6 * close
    return _findings(bars[wrong], "bar_consistency", "error", beyond[wrong], "open or close lies outside low and high")


def _duplicated(bars: pd.DataFrame, first: npt.NDArray[np.bool_]) -> pd.DataFrame:
    dates = bars["date"].to_numpy()
    twice = ~first
    twice[1:] &= dates[1:] == dates[:-1]
    return _findings(bars[twice], "duplicate", "error", np.nan, "the session has more than one bar")


def _outside_sessions(bars: pd.DataFrame, places: npt.NDArray[np.intp]) -> pd.DataFrame:
    return _findings(bars[places < 0], "no_session", "error", np.nan, "the exchange did not trade on this date")


def _gaps(bars: pd.DataFrame, first: npt.NDArray[np.bool_], places: npt.NDArray[np.intp]) -> pd.DataFrame:
    missing = np.diff(places, prepend=places[:1]) - 1
    gap = (missing > 0) & ~first
    detail = [f"{count} sessions without a bar before this one" for count in missing[gap]]
    return _findings(bars[gap], "gap", "warning", missing[gap], detail)


def _without_volume(bars: pd.DataFrame) -> pd.DataFrame:
    rows = bars[bars["volume"] == 0]
    return _findings(rows, "zero_volume", "warning", 0.0, "a bar without volume: no order executes in it")


def _unexplained_moves(
    bars: pd.DataFrame, first: npt.NDArray[np.bool_], adjusted: pd.Series, largest: float
) -> pd.DataFrame:
    move = change_from_row_before(adjusted.to_numpy(), first)
    jump = np.abs(move) > largest
    detail = [f"close moved {value:+.1%} and no corporate action explains it" for value in move[jump]]
    severity = np.where(np.abs(move[jump]) >= LARGE_MOVE, "error", "warning")
    return _findings(bars[jump], "unexplained_move", severity, move[jump], detail)


def _constant(bars: pd.DataFrame, first: npt.NDArray[np.bool_], longest: int) -> pd.DataFrame:
    close = bars["close"].to_numpy()
    changed = first.copy()
    changed[1:] |= close[1:] != close[:-1]
    starts = np.flatnonzero(changed)
    length = np.diff(np.append(starts, len(close)))
    long = length > longest
    rows = bars.iloc[starts[long]]
    return _findings(rows, "constant_price", "warning", length[long], "the close does not move from here on")


def _ended(
    bars: pd.DataFrame, corporate_actions: pd.DataFrame, sessions: pd.DatetimeIndex, longest: int
) -> pd.DataFrame:
    silent = silent_since(bars, corporate_actions).rename("date").reset_index()
    silence = len(sessions) - sessions.searchsorted(silent["date"], side="right")
    long = silence > longest
    detail = [
        f"no bar for the {count} sessions since, and no delisting; positions are held at the last close, "
        "see `ended_bars` (parameters_universe.yml)"
        for count in silence[long]
    ]
    return _findings(silent[long], "ended", "warning", silence[long].astype(float), detail)


def _vendor_differences(bars: pd.DataFrame, adjusted: pd.Series, tolerance: float) -> pd.DataFrame:
    compared = _steps_against_vendor(bars, adjusted)
    wrong = compared[compared["largest_difference"] > tolerance]
    detail = wrong.apply(
        lambda row: (
            f"vendor's adjusted close differs by up to {row['largest_difference']:.2%}; "
            f"largest single step {row['step']:.2%} on {row['date']:%Y-%m-%d}"
        ),
        axis=1,
    )
    return _findings(wrong, "vendor_adjustment", "warning", wrong["largest_difference"], detail if len(wrong) else "")
