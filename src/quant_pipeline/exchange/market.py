"""The market as arrays: what every engine trades on, built once from as-traded bars and corporate actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.compiled import kernel
from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.exchange.costs import payment_after_tax
from quant_pipeline.exchange.kernels import CASH_DIVIDEND, price_after_action
from quant_pipeline.exchange.listings import Listings, free_sessions
from quant_pipeline.exchange.money import to_ticks
from quant_pipeline.exchange.quotes import (
    ACTION_KINDS,
    action_terms,
    deal_prices,
    limit_prices,
    price_limits_of,
    reference_price,
    terms_of_actions,
)
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.exchange.score_matrix import arrange_scores
from quant_pipeline.market.classification import Classification
from quant_pipeline.market.dates import places_in, require_calendar
from quant_pipeline.market.instrument_rows import number_instruments
from quant_pipeline.market.volume import has_traded

DAYS_PER_YEAR = 365
"""Days by which interest per year is divided, whatever the year."""


class ActionArrays(NamedTuple):
    """Corporate actions in the order in which they apply; those of session ``t`` are rows ``offsets[t]:offsets[t+1]``.

    See :func:`~quant_pipeline.exchange.kernels.apply_action` for the meaning of the other columns. ``paid`` is
    the numerator as an account gets it: a dividend less the tax withheld; what a price does follows the numerator.
    """

    offsets: npt.NDArray[np.int64]
    instrument: npt.NDArray[np.uint32]
    kind: npt.NDArray[np.int64]
    numerator: npt.NDArray[np.int64]
    denominator: npt.NDArray[np.int64]
    paid: npt.NDArray[np.int64]


class MarketArrays(NamedTuple):
    """Sessions × instruments, prices in ticks, and the corporate actions.

    ``mark`` is the last known close (while halted it goes ex: divided by splits, less cash dividends; 0 before the
    first bar), ``deal_price`` is 0 where nothing trades, ``has_bar`` says whether the instrument traded, see
    :func:`~quant_pipeline.market.volume.has_traded`. Row ``t`` is known after the close of ``t``; only ``deal_price``,
    ``volume``, the blocked flags and the limits of ``t`` are used in ``t`` itself, to execute orders that were decided
    before. Limits ``lowest`` and ``highest`` have a single row where the market knows none. ``interest`` is the part of
    the cash that a session credits before anything else.
    """

    deal_price: npt.NDArray[np.int64]
    mark: npt.NDArray[np.int64]
    volume: npt.NDArray[np.int64]
    has_bar: npt.NDArray[np.bool_]
    buy_blocked: npt.NDArray[np.bool_]
    sell_blocked: npt.NDArray[np.bool_]
    lowest: npt.NDArray[np.int64]
    highest: npt.NDArray[np.int64]
    actions: ActionArrays
    interest: npt.NDArray[np.float64]


@dataclass(frozen=True)
class TradingMarket:
    """A market ready to be traded on.

    Attributes
    ----------
    sessions
        Sessions of the backtest.
    instruments
        Instrument codes, sorted: the order in which equal scores rank.
    rules
        The market rules the arrays were built for.
    arrays
        Prices and corporate actions.
    history
        The same market from earlier sessions on, for what looks back over more than is traded; None without any.
    classification
        Sectors and companies of the instruments; None where they are not known.
    """

    sessions: pd.DatetimeIndex
    instruments: pd.Index
    rules: MarketRules
    arrays: MarketArrays
    history: TradingMarket | None = None
    classification: Classification | None = None

    @classmethod
    def from_bars(
        cls,
        bars: pd.DataFrame,
        corporate_actions: pd.DataFrame,
        sessions: pd.DatetimeIndex,
        rules: MarketRules,
        earlier: pd.DatetimeIndex | None = None,
        listings: Listings | None = None,
    ) -> TradingMarket:
        """Build the arrays.

        Parameters
        ----------
        bars
            As-traded bars: ``date``, ``instrument``, ``open``, ``high``, ``low``, ``close``, ``volume``. Bars outside
            the sessions are not used, except that the instruments are those of all bars given, and that the price
            limits of the first sessions refer to the last closes before them.
        corporate_actions
            ``date`` (ex-date), ``instrument``, ``kind``, ``value``.
        sessions
            Consecutive sessions of the calendar.
        rules
            Market rules: execution price, price limits.
        earlier
            The sessions right before, for the history; bars and actions of these are used too.
        listings
            When shares were listed; read out of `bars` where the rules ask for it, so give it when these are not all.

        Raises
        ------
        MarketDataError
            If a bar or an action between the first and the last session falls on no session, two bars collide, an
            action is malformed, the price limit of an instrument is unknown, or the sessions are no calendar.
        """
        require_calendar(sessions)
        instruments = pd.Index(np.sort(number_instruments(bars)[1]), dtype="str")
        inside = _inside(bars, sessions, "bar")
        shape = (len(sessions), len(instruments))
        cells = _cells(inside, sessions, instruments)
        has_bar = np.zeros(shape, dtype=np.bool_)
        has_bar.ravel()[cells] = has_traded(inside)
        deal_price = _spread(deal_prices(inside, rules.deal_price), cells, shape)
        volume = _spread(_shares(inside), cells, shape)
        close = _spread(to_ticks(inside["close"]), cells, shape)

        known = corporate_actions[corporate_actions["instrument"].isin(instruments)]
        acted = _inside(known, sessions, "corporate action")
        actions = _action_arrays(acted, sessions, instruments, rules.dividend_tax_rate)
        _fill_marks(close, np.zeros(len(instruments), dtype=np.int64), actions)
        if listings is None and rules.frees_listings:
            listings = Listings.of(bars)
        if rules.price_limits:
            before = _closes_before(bars, known, sessions[0], instruments)
            reference = reference_ticks(close, actions, before)
            lowest, highest = _limits(reference, has_bar, sessions, rules, instruments, listings)
        else:
            free = np.zeros((1, len(instruments)), dtype=np.int64)
            lowest, highest = limit_prices(free, free, rules)
        arrays = MarketArrays(
            deal_price=deal_price,
            mark=close,
            volume=volume,
            has_bar=has_bar,
            buy_blocked=deal_price >= highest,
            sell_blocked=deal_price <= lowest if rules.price_limits else np.zeros(shape, dtype=np.bool_),
            lowest=lowest,
            highest=highest,
            actions=actions,
            interest=_interest(sessions, rules.cash_interest_rate),
        )
        history = None
        if earlier is not None and len(earlier):
            history = cls.from_bars(bars, corporate_actions, earlier.append(sessions), rules, None, listings)
        return cls(sessions, instruments, rules, arrays, history)

    def limits_of(self, t: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the lowest and the highest price that the limits of session ``t`` allow, ticks by instrument."""
        row = t if self.rules.price_limits else 0
        return self.arrays.lowest[row], self.arrays.highest[row]

    def score_matrix(self, scores: pd.Series) -> npt.NDArray[np.float64]:
        """Arrange scores as sessions × instruments; a missing or infinite score is NaN.

        Parameters
        ----------
        scores
            Indexed ``(datetime, instrument)``; sessions outside the market's are not used.

        Raises
        ------
        StrategyError
            If a scored instrument or a date within the market's sessions is unknown, or a row is doubled.
        """
        return arrange_scores(scores, self.sessions, self.instruments)


def _inside(table: pd.DataFrame, sessions: pd.DatetimeIndex, what: str) -> pd.DataFrame:
    is_inside = ((table["date"] >= sessions[0]) & (table["date"] <= sessions[-1])).to_numpy()
    inside = table if is_inside.all() else table[is_inside]
    stray = places_in(sessions, inside["date"].to_numpy()) < 0
    if stray.any():
        row = inside[stray].iloc[0]
        raise MarketDataError(
            f"A {what} of {row['instrument']} is dated {row['date'].date()}, which is no session. "
            "Correct the date or choose the right calendar."
        )
    return inside


def _cells(table: pd.DataFrame, sessions: pd.DatetimeIndex, instruments: pd.Index) -> npt.NDArray[np.int64]:
    cells = places_in(sessions, table["date"].to_numpy())
    codes, names = number_instruments(table)  # A name occurs in thousands of rows, and is looked up once.
    cells *= len(instruments)
    cells += np.append(instruments.get_indexer(names), -1)[codes]
    if _any_twice(cells, len(sessions) * len(instruments)):
        twice = table[table.duplicated(["date", "instrument"])].iloc[0]
        raise MarketDataError(f"{twice['instrument']} has two bars on {twice['date'].date()}. Keep one.")
    return cells


def _any_twice(cells: npt.NDArray[np.int64], n_cells: int) -> bool:
    """Return whether a cell occurs twice; a flag per cell takes a hundredth of the time of sorting or hashing cells."""
    taken = np.zeros(n_cells, dtype=np.bool_)
    taken[cells] = True
    return bool(np.count_nonzero(taken) != len(cells))


def _shares(bars: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the volume of bars in whole shares, 0 where it is not known."""
    return bars["volume"].fillna(0).to_numpy().astype(np.int64)


def _spread(
    values: npt.NDArray[np.int64], cells: npt.NDArray[np.int64], shape: tuple[int, int]
) -> npt.NDArray[np.int64]:
    table = np.zeros(shape, dtype=np.int64)
    table.ravel()[cells] = values
    return table


def _interest(sessions: pd.DatetimeIndex, rate: float) -> npt.NDArray[np.float64]:
    """Return what cash earns from one session to the next, by calendar days over 365; 0 in the first session."""
    days = np.diff(sessions.to_numpy().astype("datetime64[D]").astype(np.int64), prepend=0)
    days[:1] = 0
    return np.asarray(rate * days / DAYS_PER_YEAR, dtype=np.float64)


def _action_arrays(
    actions: pd.DataFrame, sessions: pd.DatetimeIndex, instruments: pd.Index, dividend_tax_rate: float
) -> ActionArrays:
    kinds, terms = terms_of_actions(actions)
    rows = places_in(sessions, actions["date"].to_numpy())
    columns = np.asarray(instruments.get_indexer(pd.Index(actions["instrument"])), dtype=np.uint32)
    order = np.lexsort((columns, kinds, rows))
    numerators = terms[:, 0]
    paid = np.where(kinds == CASH_DIVIDEND, payment_after_tax(numerators, dividend_tax_rate), numerators)
    return ActionArrays(
        offsets=np.asarray(np.searchsorted(rows[order], np.arange(len(sessions) + 1)), dtype=np.int64),
        instrument=columns[order],
        kind=kinds[order],
        numerator=np.ascontiguousarray(numerators[order]),
        denominator=np.ascontiguousarray(terms[order, 1]),
        paid=paid[order],
    )


@kernel
def _fill_marks(close: npt.NDArray[np.int64], carried: npt.NDArray[np.int64], actions: ActionArrays) -> None:
    """Carry the last close through sessions without bar; it goes ex with the corporate actions meanwhile."""
    n_sessions, n_instruments = close.shape
    for t in range(n_sessions):
        for k in range(actions.offsets[t], actions.offsets[t + 1]):
            j = actions.instrument[k]
            carried[j] = price_after_action(carried[j], actions.kind[k], actions.numerator[k], actions.denominator[k])
        for j in range(n_instruments):
            if close[t, j] == 0:
                close[t, j] = carried[j]
            else:
                carried[j] = close[t, j]


def bar_matrices(
    bars: pd.DataFrame, sessions: pd.DatetimeIndex, instruments: pd.Index
) -> dict[str, npt.NDArray[np.int64]]:
    """Arrange daily bars as sessions × instruments: prices in ticks, 0 without bar, and the volume.

    A bar without volume counts as no bar.

    Parameters
    ----------
    bars
        As-traded bars.
    sessions, instruments
        Axes; they must cover the bars between the first and the last session.
    """
    inside = _inside(bars[has_traded(bars)], sessions, "bar")
    shape = (len(sessions), len(instruments))
    cells = _cells(inside, sessions, instruments)
    matrices = {name: _spread(to_ticks(inside[name]), cells, shape) for name in ("open", "high", "low", "close")}
    return matrices | {"volume": _spread(_shares(inside), cells, shape)}


def reference_ticks(
    mark: npt.NDArray[np.int64], actions: ActionArrays, before: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.int64]:
    """Previous closes after the corporate actions of the session: what its limits and its return refer to.

    Parameters
    ----------
    mark, actions
        Those of the market.
    before
        Closes before the first session, ticks by instrument; None: not known.

    Returns
    -------
    numpy.ndarray
        Sessions × instruments in ticks, 0 where there is none.
    """
    reference = np.zeros_like(mark)
    if before is not None:
        mark = mark.copy()
        _fill_marks(mark, before.copy(), actions)
        reference[0] = before
    reference[1:] = mark[:-1]
    for t in range(len(reference)):
        for k in range(actions.offsets[t], actions.offsets[t + 1]):
            j = actions.instrument[k]
            terms = int(actions.kind[k]), int(actions.numerator[k]), int(actions.denominator[k])
            reference[t, j] = price_after_action(int(reference[t, j]), *terms)
    return reference


def _closes_before(
    bars: pd.DataFrame, actions: pd.DataFrame, first: pd.Timestamp, instruments: pd.Index
) -> npt.NDArray[np.int64]:
    """Last closes before a session, after the corporate actions since, ticks by instrument; 0 where there is none."""
    closes = np.zeros(len(instruments), dtype=np.int64)
    earlier = bars[(bars["date"] < first) & (bars["close"] > 0)].sort_values("date", kind="stable")
    last = earlier.drop_duplicates("instrument", keep="last").set_index("instrument")
    closes[instruments.get_indexer(last.index)] = to_ticks(last["close"])
    since = last["date"].reindex(actions["instrument"]).to_numpy()
    dates = actions["date"].to_numpy("datetime64[ns]")
    acted = actions[(dates > since) & (dates < first.to_datetime64())]
    acted = acted.assign(rank=acted["kind"].map(ACTION_KINDS)).sort_values(["date", "rank"], kind="stable")
    for instrument, kind, value in zip(acted["instrument"], acted["kind"], acted["value"], strict=True):
        index = instruments.get_loc(instrument)
        closes[index] = reference_price(int(closes[index]), kind, *action_terms(instrument, kind, value))
    return closes


def _limits(
    reference: npt.NDArray[np.int64],
    has_bar: npt.NDArray[np.bool_],
    sessions: pd.DatetimeIndex,
    rules: MarketRules,
    instruments: pd.Index,
    listings: Listings | None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Lowest and highest prices, sessions × instruments."""
    limits = price_limits_of(instruments, sessions, has_bar, rules)
    if listings is not None:
        limits[free_sessions(instruments, sessions, listings, rules)] = 0
    return limit_prices(reference, limits, rules)
