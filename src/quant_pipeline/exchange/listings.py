"""Which sessions are the first of a listing, in which some boards have no price limit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.exchange.rules import MarketRules


class Listings(NamedTuple):
    """When shares were listed, as far as records of a market tell.

    Attributes
    ----------
    days
        Days of the records, ascending.
    first
        First bar of every instrument, by instrument. One whose first bar is on the first of the days was listed then
        or earlier: its listing is not known.
    """

    days: pd.DatetimeIndex
    first: pd.Series

    @classmethod
    def of(cls, bars: pd.DataFrame) -> Listings:
        """Read the listings out of all bars of a market."""
        days = pd.DatetimeIndex(np.sort(bars["date"].unique()))
        return cls(days, bars.groupby("instrument", sort=True)["date"].min())


def free_sessions(
    instruments: pd.Index, sessions: pd.DatetimeIndex, listings: Listings, rules: MarketRules
) -> npt.NDArray[np.bool_]:
    """Return where a share has no price limit because it was just listed, sessions × instruments.

    The limit of the board that is in force on the day of the listing says for how many sessions.
    """
    free = np.zeros((len(sessions), len(instruments)), dtype=np.bool_)
    days = listings.days.union(sessions)
    places = days.get_indexer(sessions)
    for index, name in enumerate(instruments):
        listed = listings.first.get(name)
        if listed is None or listed <= listings.days[0]:
            continue
        age = places - days.get_loc(listed)
        free[:, index] = (age >= 0) & (age < _count(str(name), listed, rules))
    return free


def _count(instrument: str, listed: pd.Timestamp, rules: MarketRules) -> int:
    boards = [limit for limit in rules.price_limits_of(instrument) if limit not in rules.special_limits]
    holding = [limit for limit in boards if limit.holds_on(listed.date())]
    return holding[-1].free_sessions if holding else 0
