"""Names that are one listing: the same bars under two names, and bars that go on under another name."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

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
    alike = rows[(rows["volume"] > 0).to_numpy() & _may_be_twice(rows)]
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
    mixed = rows["date"].to_numpy().view(np.uint64) * _ODD
    for name in ("close", "volume"):
        mixed = (mixed ^ rows[name].to_numpy(dtype=np.float64).view(np.uint64)) * _ODD
        mixed ^= mixed >> np.uint64(29)
    return pd.Series(mixed).duplicated(keep=False).to_numpy()


def note_possible_renames(draft: Draft) -> None:
    """Note names whose bars end one session before those of another name begin, at about the same close."""
    rows = draft.rows
    if rows.empty:
        return
    dates = np.sort(rows["date"].unique())
    by_name = rows.groupby("instrument", sort=False)
    first, last = by_name.head(1).set_index("instrument"), by_name.tail(1).set_index("instrument")
    ended = last[last["date"] < dates[-1]]
    begun = first[first["date"] > dates[0]]
    by_date = dict(list(begun.groupby("date")))
    for name, row in ended.iterrows():
        following = by_date.get(pd.Timestamp(dates[np.searchsorted(dates, np.datetime64(row["date"])) + 1]))
        if following is None:
            continue
        found = following[np.abs(np.log(following["close"] / row["close"])) < NEAR]
        if len(found) == 1:
            new = found.index[0]
            draft.note(
                pd.DataFrame({"instrument": [name], "date": [row["date"]]}), "possible_rename",
                f"its bars end where those of {new} begin, at about the same close; if it was renamed, state it in a "
                f"file renames.csv (old,new,date) or with `rename: {{{name}: {new}}}`",
            )  # fmt: skip
