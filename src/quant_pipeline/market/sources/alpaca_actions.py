"""Map Alpaca's corporate actions to split, cash dividend and delisting; report those that are none of these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.delistings import close_taken_ex
from quant_pipeline.market.price_adjustment import CASH_DIVIDEND, DELISTING, SPLIT

Row = Mapping[str, Any]
Answer = Mapping[str, list[dict[str, Any]]]

SOURCE = "Alpaca corporate actions"
# What ends a listing, with the name of the date and of the instrument in Alpaca's record.
_ENDINGS = {
    "cash_mergers": ("effective_date", "acquiree_symbol"),
    "stock_mergers": ("effective_date", "acquiree_symbol"),
    "stock_and_cash_mergers": ("effective_date", "acquiree_symbol"),
    "redemptions": ("process_date", "symbol"),
    "worthless_removals": ("process_date", "symbol"),
}
MOST_BARS_AFTER_END = 3
"""Sessions that a name may still have traded after the date of the record that ends it."""


class _Ending(NamedTuple):
    """A record that ends a listing, the session in which it does, and what it pays for a share."""

    date: pd.Timestamp
    instrument: str
    sort: str
    session: pd.Timestamp
    cash: float


class Translation(NamedTuple):
    """Corporate actions of the market tables, and what could not be translated."""

    actions: pd.DataFrame
    problems: tuple[SourceProblem, ...]


def translate_actions(answer: Answer, bars: pd.DataFrame, sessions: pd.DatetimeIndex) -> Translation:
    """Translate an answer of ``/v1/corporate-actions``.

    Splits of every sort and stock dividends become ``split``, cash dividends become ``cash_dividend``, a cash merger,
    a redemption and a worthless removal become ``delisting`` at their cash. A merger for shares is a delisting at the
    last close, because its value is what the shares were last worth, taken ex of what is paid besides. A listing ends
    on the date of its record, where bars have stopped before: until then the name is suspended, because it was
    not known, and an account has booked these sessions. An ex-date without trading counts on the next session.
    Spin-offs and rights change the value of a share but are none of the three: they are reported as problems, as are
    an ending more than `MOST_BARS_AFTER_END` sessions before the last bar, which ends nothing, and several that end a
    listing with different payments, of which the first counts.

    Parameters
    ----------
    answer
        Lists of records by sort.
    bars
        As traded, of all instruments asked for, sorted by instrument and date.
    sessions
        Sessions from the first bar to the session at whose close to stand.

    Returns
    -------
    Translation
        ``date``, ``instrument``, ``kind``, ``value``, one row per date, instrument and kind; and the problems.
    """
    problems: list[SourceProblem] = []
    last = bars.groupby("instrument").agg(date=("date", "last"), close=("close", "last"))
    paid = _table([*_splits(answer), *_dividends(answer)])
    table = pd.concat([paid, _table([*_endings(answer, last, paid, sessions, problems)])], ignore_index=True)
    problems += _untranslated(answer)
    places = sessions.searchsorted(table["date"])
    # What came before the first session is history that no bar shows.
    shown = (table["date"] >= sessions[0]) & (places < len(sessions))
    table = table[shown & table["instrument"].isin(last.index)]
    table = table.assign(date=sessions[sessions.searchsorted(table["date"])])
    return Translation(_merged(table), tuple(problems))


def _table(rows: list[tuple[object, str, str, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["date", "instrument", "kind", "value"]).astype(
        {"date": "datetime64[ns]", "instrument": "str", "kind": "str", "value": "float64"}
    )


def _splits(answer: Answer) -> Iterator[tuple[str, str, str, float]]:
    for sort in ("forward_splits", "reverse_splits"):
        for row in answer.get(sort, []):
            yield row["ex_date"], row["symbol"], SPLIT, float(row["new_rate"]) / float(row["old_rate"])
    for row in answer.get("unit_splits", []):
        yield row["effective_date"], row["old_symbol"], SPLIT, float(row["new_rate"]) / float(row["old_rate"])
    for row in answer.get("stock_dividends", []):
        yield row["ex_date"], row["symbol"], SPLIT, 1.0 + float(row["rate"])


def _dividends(answer: Answer) -> Iterator[tuple[str, str, str, float]]:
    for row in answer.get("cash_dividends", []):
        yield row["ex_date"], row["symbol"], CASH_DIVIDEND, float(row["rate"])


def _endings(
    answer: Answer,
    last: pd.DataFrame,
    paid: pd.DataFrame,
    sessions: pd.DatetimeIndex,
    problems: list[SourceProblem],
) -> Iterator[tuple[pd.Timestamp, str, str, float]]:
    """End listings on the date of their record, or the first session without a bar after it, each once.

    A symbol that trades on has been taken over by another name, or the record was about a part of its shares.
    """
    of_name: dict[str, list[_Ending]] = {}
    for ending in _announced(answer, last, paid, sessions):
        last_bar = last.loc[ending.instrument, "date"]
        after = sessions.searchsorted(last_bar, side="right")
        traded_on = after - sessions.searchsorted(ending.date, side="right")
        record = f"{ending.sort} of {ending.date:%Y-%m-%d}"
        if after == len(sessions):
            message = f"{record} should end it, but it trades on; look whether it was renamed"
            problems.append(SourceProblem(SOURCE, None, ending.instrument, message))
        elif traded_on > MOST_BARS_AFTER_END:
            message = (
                f"{record} does not end it, because it traded for {traded_on} more sessions, "
                f"until {last_bar:%Y-%m-%d}; look whether it was renamed, and why its bars stop"
            )
            problems.append(SourceProblem(SOURCE, None, ending.instrument, message))
        else:
            of_name.setdefault(ending.instrument, []).append(ending)
    for name, endings in of_name.items():
        problems += _contradictions(name, endings)
        yield _first(endings).session, name, DELISTING, _first(endings).cash


def _announced(answer: Answer, last: pd.DataFrame, paid: pd.DataFrame, sessions: pd.DatetimeIndex) -> Iterator[_Ending]:
    for sort, (date_field, name_field) in _ENDINGS.items():
        for row in answer.get(sort, []):
            name, date = row[name_field], pd.Timestamp(row[date_field])
            if name not in last.index or date > sessions[-1]:
                continue
            last_bar, close = last.loc[name, ["date", "close"]]
            index = max(sessions.searchsorted(last_bar, side="right"), sessions.searchsorted(date))
            session = sessions[min(index, len(sessions) - 1)]
            worth = close_taken_ex(close, paid[paid["instrument"] == name], last_bar, session)
            yield _Ending(date, name, sort, session, _cash_per_share(sort, row, worth))


def _first(endings: list[_Ending]) -> _Ending:
    return min(endings, key=lambda ending: (ending.date, ending.cash))


def _contradictions(name: str, endings: list[_Ending]) -> Iterator[SourceProblem]:
    """Report a listing with several endings that do not pay the same."""
    if len({ending.cash for ending in endings}) > 1:
        listed = ", ".join(
            f"{ending.sort} of {ending.date:%Y-%m-%d} at {ending.cash:g}" for ending in sorted(set(endings))
        )
        message = (
            f"several records end it with different payments: {listed}; the earliest counts, of one date the lowest, "
            f"{_first(endings).cash:g}. Compare it with what the company announced"
        )
        yield SourceProblem(SOURCE, None, name, message)


def _cash_per_share(sort: str, row: Row, worth: float) -> float:
    if sort == "worthless_removals":
        return 0.0
    return float(row["rate"]) if sort in ("cash_mergers", "redemptions") else worth


def _untranslated(answer: Answer) -> Iterator[SourceProblem]:
    known = {"forward_splits", "reverse_splits", "unit_splits", "stock_dividends", "cash_dividends", "name_changes"}
    for sort in sorted(set(answer) - known - set(_ENDINGS)):
        for row in answer[sort]:
            name = row.get("source_symbol") or row.get("symbol") or row.get("old_symbol")
            date = row.get("ex_date") or row.get("process_date")
            message = f"a record of {sort} of {date} is not understood; prices before and after it may not compare"
            yield SourceProblem(SOURCE, None, name, message)


def _merged(table: pd.DataFrame) -> pd.DataFrame:
    """Make one row of several of one date: dividends add up, splits multiply, delistings are single already."""
    keys = ["date", "instrument", "kind"]
    paid = table[table["kind"] == CASH_DIVIDEND].groupby(keys, as_index=False)["value"].sum()
    split = table[table["kind"] == SPLIT].groupby(keys, as_index=False)["value"].prod()
    return pd.concat([paid, split, table[table["kind"] == DELISTING]]).sort_values(
        keys, kind="stable", ignore_index=True
    )
