"""The account as a fold over its events: positions, lots, cash, profit, plans."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.market.clock import DealPrice
from quant_pipeline.trading.ledger.amendments import EffectiveFill
from quant_pipeline.trading.ledger.books import MOVES, Books
from quant_pipeline.trading.ledger.events import Event, EventKind, Order
from quant_pipeline.trading.ledger.late_events import (
    TRADED,
    effective_session,
    is_trade_in,
    mark_newest,
    place_in,
)
from quant_pipeline.trading.ledger.lots import ZERO, Position


@dataclass(frozen=True)
class Plan:
    """The orders decided for one session; a later revision replaces an earlier one.

    Attributes
    ----------
    execution_session, revision, orders
        Execution session, revision number of the plan, and its orders.
    deal_price
        Price of the session at which they were decided to execute; None for a sale of everything, which takes any, and
        for plans that were recorded before plans stated it.
    """

    execution_session: pd.Timestamp
    revision: int
    orders: tuple[Order, ...]
    deal_price: DealPrice | None = None

    def has(self, client_order_id: str) -> bool:
        """Return whether an order belongs to it."""
        return any(order.client_order_id == client_order_id for order in self.orders)


@dataclass
class AccountState(Books):
    """An account at the close of a session.

    Attributes
    ----------
    name
        Name of the account; empty before it is opened.
    plans
        Newest plan of every execution session.
    closes
        ``(session, net asset value, cash)`` of every booked session.
    history
        Everything that moved cash or shares, so that a corrected fill can be booked as if it had been right at once;
        in the order of the ledger, but for trades and corporate actions that came late.
    amended
        Busted and corrected fills by key, as they count.
    cancelled
        Keys of events that their broker has taken back; they count no more.
    quarantine
        By key, the activities of the broker that could not be booked and that the operator has not answered.
    newest
        By ``traded`` or ``converted`` and instrument, the newest session with a trade or a corporate action.
    taken_back
        The broker's names of records of corporate actions that it has taken back by name.
    foreign_prices
        Value of one unit of each foreign position that its broker stated at the last close; none where it did not.
    """

    name: str = ""
    plans: dict[pd.Timestamp, Plan] = field(default_factory=dict)
    closes: list[tuple[pd.Timestamp, Decimal, Decimal]] = field(default_factory=list)
    history: list[Event] = field(default_factory=list)
    amended: dict[str, EffectiveFill] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    quarantine: dict[str, Event] = field(default_factory=dict)
    newest: dict[tuple[str, str], pd.Timestamp] = field(default_factory=dict)
    taken_back: set[str] = field(default_factory=set)
    foreign_prices: dict[str, Decimal] = field(default_factory=dict)

    def fork(self) -> AccountState:
        """Return a copy on which events can be tried: what is applied to it leaves this account as it is."""
        positions = {
            name: Position(list(held.lots), sessions_held=held.sessions_held) for name, held in self.positions.items()
        }
        return replace(
            self,
            positions=positions,
            foreign=dict(self.foreign),
            closed_lots=list(self.closed_lots),
            plans=dict(self.plans),
            closes=list(self.closes),
            history=list(self.history),
            amended=dict(self.amended),
            cancelled=set(self.cancelled),
            quarantine=dict(self.quarantine),
            newest=dict(self.newest),
            taken_back=set(self.taken_back),
            foreign_prices=dict(self.foreign_prices),
        )

    @property
    def foreign_values(self) -> dict[str, Decimal | None]:
        """Value of each foreign position at its broker's price of the last close; None where that is not known."""
        prices = self.foreign_prices
        return {name: held * prices[name] if name in prices else None for name, held in self.foreign.items()}

    @property
    def last_session(self) -> pd.Timestamp | None:
        """Last booked session."""
        return self.closes[-1][0] if self.closes else None

    def apply(self, event: Event) -> None:
        """Change the state by one event."""
        if event.kind in _RECORDS:
            _RECORDS[event.kind](self, event)
        if event.kind in MOVES:
            place = place_in(self.history, self.cancelled, event)
            self.history.insert(place, event)
            if place == len(self.history) - 1:
                MOVES[event.kind](self, event)
            else:
                _book_again(self)
            mark_newest(self.newest, event)

    def held_before_trades(self, instrument: str) -> list[tuple[pd.Timestamp, Decimal]]:
        """Return the sessions that traded an instrument, oldest first, with the shares held before their trades."""
        books, sessions = Books(), dict[pd.Timestamp, Decimal]()
        for known in self.history:
            session = effective_session(known)
            if is_trade_in(known, instrument) and session not in sessions:
                held = books.positions.get(instrument)
                sessions[session] = ZERO if held is None else held.quantity
            self._replay(books, known)
        return sorted(sessions.items())

    def held_at_open(self, instrument: str, session: pd.Timestamp) -> Decimal:
        """Return the shares of an instrument that are held before the trades of a session, late ones included."""
        if self.newest.get((TRADED, instrument), pd.Timestamp.min) >= session:
            return next(held for day, held in self.held_before_trades(instrument) if day >= session)
        held = self.positions.get(instrument)
        return ZERO if held is None else held.quantity

    def _replay(self, books: Books, known: Event) -> None:
        """Apply an event of the history as it counts now."""
        if known.key in self.cancelled:
            return
        revised = self.amended.get(known.key)
        if revised is None:
            MOVES[known.kind](books, known)
        elif revised.counts:
            MOVES[known.kind](books, replace(known, payload=revised.facts))

    def paid_in(self, session: pd.Timestamp) -> Decimal:
        """Cash that the owner has paid in less what was taken out in a session."""
        return sum((owners_cash(event) for event in self.history if event.session == session), ZERO)

    def positions_table(self) -> pd.DataFrame:
        """Positions as the strategy and the exchange take them: ``quantity``, ``sessions_held`` by instrument.

        Exchanges trade whole shares: what is less than one is not listed, and fractions beyond whole ones do not count.
        """
        held = sorted(name for name, position in self.positions.items() if position.quantity >= 1)
        return pd.DataFrame(
            {
                "quantity": pd.Series([int(self.positions[name].quantity) for name in held], dtype="int64").to_numpy(),
                "sessions_held": pd.Series(
                    [self.positions[name].sessions_held for name in held], dtype="int64"
                ).to_numpy(),
            },
            index=pd.Index(held, dtype="str", name="instrument"),
        )


def fold(events: Iterable[Event], up_to: pd.Timestamp | None = None) -> AccountState:
    """Compute the account from its events.

    Parameters
    ----------
    events
        In the order of the ledger.
    up_to
        As-of session; later events are not seen. None takes all.

    Returns
    -------
    AccountState
        Deterministic: the same events give the same state.
    """
    state = AccountState()
    for event in events:
        if up_to is None or event.session <= up_to:
            state.apply(event)
    return state


def owners_cash(event: Event) -> Decimal:
    """Cash that the owner paid in (positive) or took out; zero for every other event.

    Cash that came for shares, as in a merger, is booked as a deposit too, but names its instrument.
    """
    if event.kind not in (EventKind.DEPOSIT, EventKind.WITHDRAWAL) or event.payload.get("instrument"):
        return ZERO
    return Decimal(event.payload["amount"])


def _revise(state: AccountState, event: Event) -> None:
    key = event.payload["fill"]
    fill = state.amended.get(key) or next(
        (EffectiveFill.of(known) for known in state.history if known.key == key and known.kind == EventKind.FILL), None
    )
    if fill is None:
        raise AccountError(f"{event.key} corrects the fill {key}, which the ledger does not have")
    state.amended[key] = fill.amended(event)
    _book_again(state)


def _cancel(state: AccountState, event: Event) -> None:
    keys = set(event.payload["events"])
    if missing := sorted(keys - {known.key for known in state.history}):
        raise AccountError(f"{event.key} takes back {missing[0]}, which the ledger does not have")
    state.cancelled |= keys
    _note(state, event)
    _book_again(state)


def _note(state: AccountState, event: Event) -> None:
    if "record" in event.payload:
        state.taken_back.add(event.payload["record"])


def _quarantine(state: AccountState, event: Event) -> None:
    state.quarantine[event.key] = event


def _resolve(state: AccountState, event: Event) -> None:
    if state.quarantine.pop(event.payload["row"], None) is None:
        raise AccountError(f"{event.key} answers {event.payload['row']}, which is not in quarantine")


def _book_again(state: AccountState) -> None:
    """Compute what the account owns from its whole history, as if amended fills had been right at once."""
    books = Books()
    for known in state.history:
        state._replay(books, known)
    for name in vars(books):
        setattr(state, name, getattr(books, name))


def _plan(state: AccountState, event: Event) -> None:
    session = pd.Timestamp(event.payload["deal_session"])
    orders = tuple(map(Order.of, event.payload["orders"]))
    state.plans[session] = Plan(session, int(event.payload["revision"]), orders, event.payload.get("deal_price"))


def _close(state: AccountState, event: Event) -> None:
    cash = Decimal(event.payload["cash"])
    if cash != state.cash:
        raise AccountError(
            f"the ledger closes {event.session:%Y-%m-%d} with {cash} cash but its events give {state.cash}; "
            "an event is missing or was booked twice"
        )
    state.closes.append((event.session, Decimal(event.payload["net_asset_value"]), cash))
    stated = event.payload.get("foreign", {})
    state.foreign_prices = {
        name: Decimal(facts["value"]) / Decimal(facts["quantity"])
        for name, facts in stated.items()
        if facts["value"] is not None and Decimal(facts["quantity"])
    }


def _name(state: AccountState, event: Event) -> None:
    state.name = event.payload["account"]


_RECORDS: dict[EventKind, Callable[[AccountState, Event], None]] = {
    EventKind.ACCOUNT_OPENED: _name,
    EventKind.ACCOUNT_RENAMED: _name,
    EventKind.SESSION_CLOSED: _close,
    EventKind.PLAN_RECORDED: _plan,
    EventKind.TRADE_BUST: _revise,
    EventKind.TRADE_CORRECTION: _revise,
    EventKind.EVENT_CANCELLED: _cancel,
    EventKind.ACTIVITY_NOTED: _note,
    EventKind.ACTIVITY_QUARANTINED: _quarantine,
    EventKind.QUARANTINE_RESOLVED: _resolve,
}
