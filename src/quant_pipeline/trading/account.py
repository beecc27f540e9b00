"""The account as a fold over its events: positions, lots, cash, profit, plans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

import pandas as pd

from quant_pipeline.exceptions import AccountError
from quant_pipeline.trading.domain import TICK, Event, EventKind, Order

ZERO = Decimal(0)


@dataclass(frozen=True)
class Lot:
    """Shares bought together; ``cost`` is what all of them cost, fee included."""

    session: pd.Timestamp
    quantity: Decimal
    cost: Decimal


@dataclass
class Position:
    """Lots of one instrument, oldest first, and how many closes they have seen."""

    lots: list[Lot] = field(default_factory=list)
    sessions_held: int = 0

    @property
    def quantity(self) -> Decimal:
        """Shares held."""
        return sum((lot.quantity for lot in self.lots), ZERO)

    @property
    def cost(self) -> Decimal:
        """What the shares held have cost."""
        return sum((lot.cost for lot in self.lots), ZERO)


@dataclass(frozen=True)
class Plan:
    """The orders decided for one session; a later revision replaces an earlier one."""

    deal_session: pd.Timestamp
    revision: int
    orders: tuple[Order, ...]


@dataclass
class AccountState:
    """An account at the close of a session.

    Attributes
    ----------
    name
        Name of the account; empty before it is opened.
    cash
        Cash.
    positions
        By instrument; only instruments that are held.
    realised
        Profit of everything sold so far, fees included.
    dividends
        Cash dividends received so far.
    fees
        Fees paid so far.
    plans
        Newest plan of every deal session.
    closes
        ``(session, net asset value, cash)`` of every booked session.
    """

    name: str = ""
    cash: Decimal = ZERO
    positions: dict[str, Position] = field(default_factory=dict)
    realised: Decimal = ZERO
    dividends: Decimal = ZERO
    fees: Decimal = ZERO
    plans: dict[pd.Timestamp, Plan] = field(default_factory=dict)
    closes: list[tuple[pd.Timestamp, Decimal, Decimal]] = field(default_factory=list)

    @property
    def last_session(self) -> pd.Timestamp | None:
        """Last booked session."""
        return self.closes[-1][0] if self.closes else None

    def apply(self, event: Event) -> None:
        """Change the state by one event."""
        _APPLY[event.kind](self, event)

    def positions_table(self) -> pd.DataFrame:
        """Positions as the strategy and the exchange take them: ``quantity``, ``sessions_held`` by instrument."""
        held = sorted(self.positions)
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
        Session whose close to stand at; later events are not seen. None takes all.

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


def _open(state: AccountState, event: Event) -> None:
    state.name = event.payload["account"]
    state.cash += Decimal(event.payload["cash"])


def _plan(state: AccountState, event: Event) -> None:
    session = pd.Timestamp(event.payload["deal_session"])
    orders = tuple(Order(**order) for order in event.payload["orders"])
    state.plans[session] = Plan(session, int(event.payload["revision"]), orders)


def _fill(state: AccountState, event: Event) -> None:
    payload = event.payload
    quantity, fee = Decimal(payload["quantity"]), Decimal(payload["fee"])
    value = quantity * Decimal(payload["price"])
    state.fees += fee
    if payload["side"] == "buy":
        state.cash -= value + fee
        position = state.positions.setdefault(payload["instrument"], Position())
        position.lots.append(Lot(event.session, quantity, value + fee))
    else:
        state.cash += value - fee
        state.realised += value - fee - _take_out(state, payload["instrument"], quantity)


def _take_out(state: AccountState, instrument: str, quantity: Decimal) -> Decimal:
    """Remove shares, first in first out, and return what they had cost."""
    position = state.positions.get(instrument)
    if position is None or position.quantity < quantity:
        held = ZERO if position is None else position.quantity
        raise AccountError(f"the ledger sells {quantity} {instrument} but holds {held}; an event before it is missing")
    cost = ZERO
    while quantity > 0:
        lot = position.lots.pop(0)
        part = min(lot.quantity, quantity)
        part_cost = lot.cost if part == lot.quantity else (lot.cost * part / lot.quantity).quantize(TICK)
        cost += part_cost
        quantity -= part
        if part < lot.quantity:
            position.lots.insert(0, Lot(lot.session, lot.quantity - part, lot.cost - part_cost))
    if not position.lots:
        del state.positions[instrument]
    return cost


def _split(state: AccountState, event: Event) -> None:
    position = state.positions[event.payload["instrument"]]
    before, after = position.quantity, Decimal(event.payload["quantity_after"])
    received = Decimal(event.payload["amount"])
    state.cash += received
    state.realised += received
    if after == 0:
        state.realised -= position.cost
        del state.positions[event.payload["instrument"]]
        return
    scaled = [Lot(lot.session, (lot.quantity * after / before).quantize(TICK), lot.cost) for lot in position.lots]
    rest = after - sum((lot.quantity for lot in scaled[:-1]), ZERO)
    position.lots = [*scaled[:-1], Lot(scaled[-1].session, rest, scaled[-1].cost)]


def _dividend(state: AccountState, event: Event) -> None:
    amount = Decimal(event.payload["amount"])
    state.cash += amount
    state.dividends += amount


def _delist(state: AccountState, event: Event) -> None:
    instrument = event.payload["instrument"]
    amount = Decimal(event.payload["amount"])
    state.cash += amount
    state.realised += amount - _take_out(state, instrument, state.positions[instrument].quantity)


def _close(state: AccountState, event: Event) -> None:
    for position in state.positions.values():
        position.sessions_held += 1
    cash = Decimal(event.payload["cash"])
    if cash != state.cash:
        raise AccountError(
            f"the ledger closes {event.session:%Y-%m-%d} with {cash} cash but its events give {state.cash}; "
            "an event is missing or was booked twice"
        )
    state.closes.append((event.session, Decimal(event.payload["net_asset_value"]), cash))


def _nothing(state: AccountState, event: Event) -> None:
    """Leave the state as it is: an order that ended without a deal moves neither shares nor cash."""


_APPLY = {
    EventKind.ACCOUNT_OPENED: _open,
    EventKind.PLAN_RECORDED: _plan,
    EventKind.FILL: _fill,
    EventKind.ORDER_ENDED: _nothing,
    EventKind.SPLIT: _split,
    EventKind.CASH_DIVIDEND: _dividend,
    EventKind.DELISTING: _delist,
    EventKind.SESSION_CLOSED: _close,
}
