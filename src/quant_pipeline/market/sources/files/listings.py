"""Names that are one listing: the same bars under two names, and bars that go on under another name."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.market.instrument_rows import different_dates, number_instruments
from quant_pipeline.market.sources.files.draft import PRICES, Draft

FEWEST = 10
"""Equal sessions of two names that are no coincidence."""
_ODD = np.uint64(0x9E3779B97F4A7C15)
"""An odd number whose bits are as if drawn: 2⁶⁴ over the golden ratio (Knuth, The Art of Computer Programming, 6.4)."""
NEAR = np.log(1.15)
"""Largest move of a close from the last bar of a former name to the first of the new one."""


def note_listings_twice(draft: Draft) -> None:
    """Note instruments that share bars with another one: they would be held twice."""
    rows = draft.rows
    values = ["date", *PRICES, "volume"]
    alike = rows[_may_be_twice(rows)]
    alike = alike[(alike["volume"] > 0).to_numpy()]
    twice = alike[alike.duplicated(values, keep=False)]
    if len(twice) < 2 * FEWEST:
        return
    first = twice.groupby(values, sort=False)["instrument"].transform("first")
    others = twice.assign(first=first)[(first != twice["instrument"]).to_numpy()]
    for (name, other), shared in others.groupby(["first", "instrument"], sort=True):
        if len(shared) >= FEWEST:
            draft.note(
                shared.head(1), "same_bars",
                f"{len(shared)} bars are those of {name}: one listing under two names; leave one out with `exclude`, "
                f"or state `rename: {{{other}: {name}}}`",
                value=float(len(shared)),
            )  # fmt: skip


def _may_be_twice(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which rows may have the date, closes and volume of another one: equal rows always do, few others."""
    dates = rows["date"].to_numpy().view(np.uint64)
    values = [rows[name].to_numpy(dtype=np.float64).view(np.uint64) for name in ("close", "volume")]
    mixed = dates * _ODD
    for value in values:
        mixed ^= value
        mixed *= _ODD
        mixed ^= mixed >> np.uint64(29)
    ordered = np.sort(mixed)
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.isin(mixed, again) if len(again) else np.zeros(len(mixed), dtype=bool)


def note_possible_renames(draft: Draft) -> None:
    """Note names whose bars end one session before those of another name begin, at about the same close."""
    rows = draft.rows
    if rows.empty:
        return
    first = np.flatnonzero(~draft.goes_on())
    last = np.append(first[1:], len(rows)) - 1
    days, closes = rows["date"].to_numpy(), rows["close"].to_numpy()
    ended, begun = last[days[last] < days[last].max()], first[days[first] > days[first].min()]
    if not len(ended) or not len(begun):
        return
    codes, names = number_instruments(rows)
    dates = different_dates(rows)
    by_date: dict[np.datetime64, list[tuple[str, float]]] = {}
    for name, day, close in zip(names[codes[begun]], days[begun], closes[begun], strict=True):
        by_date.setdefault(day, []).append((name, close))
    noted = []
    for name, day, close in zip(names[codes[ended]], days[ended], closes[ended], strict=True):
        following = by_date.get(dates[np.searchsorted(dates, day) + 1], [])
        found = [new for new, first_close in following if np.abs(np.log(first_close / close)) < NEAR]
        if len(found) == 1:
            what = (
                f"its bars end where those of {found[0]} begin, at about the same close; if it was renamed, state it "
                f"in a file renames.csv (old,new,date) or with `rename: {{{name}: {found[0]}}}`"
            )
            noted.append((name, day, what))
    if noted:
        table = pd.DataFrame(noted, columns=["instrument", "date", "what"])
        draft.note(table, "possible_rename", table["what"])
