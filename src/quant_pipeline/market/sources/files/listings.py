"""Names that are one listing: the same bars under two names, and bars that go on under another name."""

from __future__ import annotations

import numpy as np
import pandas as pd

from quant_pipeline.market.sources.files.draft import PRICES, Draft

FEWEST = 10
"""Equal sessions of two names that are no coincidence."""
NEAR = np.log(1.15)
"""Largest move of a close from the last bar of a former name to the first of the new one."""


def note_listings_twice(draft: Draft) -> None:
    """Note instruments that share bars with another one: they would be held twice."""
    rows = draft.rows
    values = ["date", *PRICES, "volume"]
    twice = rows[(rows["volume"] > 0) & rows.duplicated(values, keep=False)]
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
    for name, row in ended.iterrows():
        following = dates[np.searchsorted(dates, np.datetime64(row["date"])) + 1]
        near = np.abs(np.log(begun["close"] / row["close"])) < NEAR
        found = begun[near & (begun["date"] == following)]
        if len(found) == 1:
            new = found.index[0]
            draft.note(
                pd.DataFrame({"instrument": [name], "date": [row["date"]]}), "possible_rename",
                f"its bars end where those of {new} begin, at about the same close; if it was renamed, state it in a "
                f"file renames.csv (old,new,date) or with `rename: {{{name}: {new}}}`",
            )  # fmt: skip
