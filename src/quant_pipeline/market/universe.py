"""Who may be traded, session by session, by what was known at its close."""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.listing import first_of
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.market.dates import order_by_date
from quant_pipeline.market.instrument_rows import begins, first_rows, number_instruments, take_names
from quant_pipeline.market.rolling_median import has_median_of


class UniverseParameters(Parameters):
    """The ``universe`` block of the parameters.

    A name alone, such as ``universe: csi300``, is the universe of that name without any other condition.

    Attributes
    ----------
    name
        A named universe of the market source, whose ranges of dates say who is a member; None takes every instrument.
    instruments
        Static list; None takes every instrument of the market.
    exclude
        Instruments that are never members.
    sectors
        Sectors to take; None takes all.
    min_listing_sessions
        Bars, this session's included, that an instrument must have to be a member; sessions without a bar do not count.
    min_price
        Smallest close as traded, in the currency.
    min_median_traded_value
        Smallest median of ``close × volume`` over the window, in the currency.
    traded_value_window
        Bars of that median.
    """

    name: str | None = None
    instruments: list[str] | None = None
    exclude: list[str] = Field(default_factory=list)
    sectors: list[str] | None = None
    min_listing_sessions: NonNegativeInt = 0
    min_price: NonNegativeFloat = 0.0
    min_median_traded_value: NonNegativeFloat = 0.0
    traded_value_window: PositiveInt = 20

    @model_validator(mode="before")
    @classmethod
    def _take_a_name_alone(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data


def select_universe(
    bars: pd.DataFrame,
    instruments: pd.DataFrame,
    parameters: UniverseParameters,
    named_universes: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Select the members of every session.

    Parameters
    ----------
    bars
        As traded, sorted by ``instrument`` and ``date``.
    instruments
        ``instrument`` and ``sector``.
    parameters
        Conditions; all of them must hold.
    named_universes
        ``universe``, ``instrument``, ``start``, ``end`` of the source; None or empty where it has none.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``instrument``, sorted; an instrument without a bar in a session is no member of it.

    Raises
    ------
    ConfigurationError
        When a name, sector or universe of the parameters does not exist, or no instrument is ever a member.
    """
    eligible = _eligible_instruments(instruments, parameters)
    codes, names = number_instruments(bars)
    first = begins(codes)
    value = (bars["close"] * bars["volume"]).to_numpy()
    member = has_median_of(value, first, parameters.traded_value_window, parameters.min_median_traded_value)
    member &= (bars["close"] >= parameters.min_price).to_numpy()
    is_eligible = names.isin(list(eligible))
    if not is_eligible.all():
        member &= is_eligible[codes]
    if parameters.name is not None:
        member &= _is_within(bars, parameters.name, named_universes).to_numpy()
    member[first_rows(first, parameters.min_listing_sessions - 1).row] = False
    # The bars are sorted by instrument: of one date they stay so.
    rows = np.flatnonzero(member)
    rows = rows[order_by_date(bars["date"].to_numpy()[rows])]
    members = pd.DataFrame(
        {"date": bars["date"].array.take(rows), "instrument": take_names(names, codes[rows])}, copy=False
    )
    members.attrs = dict(bars.attrs)
    if members.empty:
        raise ConfigurationError(
            "no instrument meets the conditions of `universe` on any session; loosen them in parameters_universe.yml"
        )
    return members


def require_known_names(
    parameters: UniverseParameters, instruments: pd.DataFrame, named_universes: pd.DataFrame | None
) -> None:
    """Check that the market has every instrument, sector and universe that the parameters name.

    Raises
    ------
    ConfigurationError
        When a name does not exist, with the nearest one that does.
    """
    _eligible_instruments(instruments, parameters)
    if parameters.name is not None:
        _ranges_of(parameters.name, named_universes)


def reasons_against(
    bars: pd.DataFrame,
    instruments: pd.DataFrame,
    parameters: UniverseParameters,
    session: pd.Timestamp,
    named_universes: pd.DataFrame | None = None,
) -> list[str]:
    """Say which conditions keep one instrument out of the universe of a session, each with its value.

    Parameters
    ----------
    bars
        As traded, of this instrument alone, sorted by date; bars after the session do not count.
    instruments
        The row of this instrument: ``instrument`` and ``sector``.
    parameters, named_universes
        As for `select_universe`.
    session
        The session.

    Returns
    -------
    list of str
        Empty for a member.
    """
    if instruments.empty:
        return ["the market does not know it"]
    bars = bars[bars["date"] <= session]
    if bars.empty or bars["date"].iloc[-1] != session:
        last = "none before" if bars.empty else f"the last one is of {bars['date'].iloc[-1]:%Y-%m-%d}"
        return [f"it has no bar in this session ({last})"]
    row, newest, found = instruments.iloc[0], bars.iloc[-1], []
    if parameters.instruments is not None and row["instrument"] not in parameters.instruments:
        found.append("universe.instruments does not name it")
    if row["instrument"] in parameters.exclude:
        found.append("universe.exclude names it")
    if parameters.sectors is not None and row["sector"] not in parameters.sectors:
        found.append(f"its sector {row['sector']} is not one of universe.sectors")
    if not _is_within(bars, parameters.name, named_universes).iloc[-1]:
        found.append(f"it is not in '{parameters.name}' in this session")
    typical = float((bars["close"] * bars["volume"]).tail(parameters.traded_value_window).median())
    for value, limit, key, what in (
        (len(bars), parameters.min_listing_sessions, "min_listing_sessions", "bars"),
        (float(newest["close"]), parameters.min_price, "min_price", "close"),
        (typical, parameters.min_median_traded_value, "min_median_traded_value", "median of the traded value"),
    ):
        if value < limit:
            found.append(f"{what} {value:,.10g} below universe.{key} {limit:,.10g}")
    return found


def no_universes() -> pd.DataFrame:
    """Return a table of named universes without rows."""
    columns = {"universe": "str", "instrument": "str", "start": "datetime64[ns]", "end": "datetime64[ns]"}
    return pd.DataFrame(columns=list(columns)).astype(columns)


def _is_within(bars: pd.DataFrame, name: str | None, named_universes: pd.DataFrame | None) -> pd.Series:
    """Return which bars lie within a range of their instrument in the named universe."""
    if name is None:
        return pd.Series(True, index=bars.index)
    ranges = _ranges_of(name, named_universes)
    dates = bars["date"].to_numpy()
    place = bars.reset_index(drop=True).groupby("instrument", sort=False).indices
    within = np.zeros(len(bars), dtype=bool)
    for row in ranges[ranges["instrument"].isin(list(place))].itertuples():
        rows = place[row.instrument]
        within[rows] |= (dates[rows] >= row.start.to_datetime64()) & (dates[rows] <= row.end.to_datetime64())
    return pd.Series(within, index=bars.index)


def _ranges_of(name: str, named_universes: pd.DataFrame | None) -> pd.DataFrame:
    known = no_universes() if named_universes is None else named_universes
    ranges = known[known["universe"] == name]
    if ranges.empty:
        named = sorted(known["universe"].unique())
        near = difflib.get_close_matches(name, named, n=1)
        hint = f"did you mean '{near[0]}'? It has {first_of(named)}" if near else f"it has {first_of(named)}"
        remedy = hint if named else "its market source has none; leave `universe.name` out"
        raise ConfigurationError(f"the market has no universe '{name}': {remedy}")
    return ranges


def _eligible_instruments(instruments: pd.DataFrame, parameters: UniverseParameters) -> set[str]:
    known = set(instruments["instrument"])
    _refuse_unknown([*(parameters.instruments or []), *parameters.exclude], known, "instrument")
    _refuse_unknown(parameters.sectors or [], set(instruments["sector"]), "sector")
    eligible = known if parameters.instruments is None else set(parameters.instruments)
    if parameters.sectors is not None:
        eligible &= set(instruments.loc[instruments["sector"].isin(parameters.sectors), "instrument"])
    return eligible - set(parameters.exclude)


def _refuse_unknown(names: list[str], known: set[str], what: str) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ConfigurationError(f"unknown {what} '{name}' in `universe` (parameters_universe.yml){hint}")
