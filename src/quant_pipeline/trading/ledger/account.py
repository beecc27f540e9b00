"""The account as a fold over its events: positions, lots, cash, profit, plans."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.market.clock import DealPrice
from quant_pipeline.trading.ledger import corporate_actions as corporate
from quant_pipeline.trading.ledger.amendments import EffectiveFill
from quant_pipeline.trading.ledger.events import TICK, Event, EventKind, Order
from quant_pipeline.trading.ledger.lots import ZERO, ClosedLot, Lot, LotMethod, Position


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


@dataclass
class Books:
    """What an account owns and where it came from.

    At every moment ``cash + cost of all lots = contributed + realised + dividends + interest + other - charges -
    taxes``: money changes its place but does not appear or vanish.

    Attributes
    ----------
    cash
        Cash.
    positions
        By instrument; only instruments that are held.
    contributed
        Deposits less withdrawals, and the cost of shares transferred in less that of shares transferred out.
    realised
        Profit of everything sold so far, fees included.
    dividends, interest
        Received so far; paid interest counts negative.
    other
        Cash that moved for a reason that no other amount names, and that of foreign positions.
    foreign
        By instrument, what the account holds at its broker and these books do not keep lots of: short positions
        (negative), options and the like. They are never traded; their broker values them.
    charges, taxes
        Fees and taxes that were booked by themselves, not as part of a fill.
    fees
        All fees paid so far, those of fills included.
    lot_method
        Which lots sales take that name none.
    closed_lots
        What was sold, lot by lot.
    """

    cash: Decimal = ZERO
    positions: dict[str, Position] = field(default_factory=dict)
    contributed: Decimal = ZERO
    realised: Decimal = ZERO
    dividends: Decimal = ZERO
    interest: Decimal = ZERO
    other: Decimal = ZERO
    foreign: dict[str, Decimal] = field(default_factory=dict)
    charges: Decimal = ZERO
    taxes: Decimal = ZERO
    fees: Decimal = ZERO
    lot_method: LotMethod = LotMethod.FIFO
    closed_lots: list[ClosedLot] = field(default_factory=list)

    @property
    def cost(self) -> Decimal:
        """What everything held has cost."""
        return sum((position.cost for position in self.positions.values()), ZERO)

    @property
    def discrepancy(self) -> Decimal:
        """What appeared from nowhere (or vanished, when negative); zero, or the fold is wrong."""
        income = self.realised + self.dividends + self.interest + self.other - self.charges - self.taxes
        return self.cash + self.cost - self.contributed - income

    def receive(self, instrument: str, lots: Iterable[Lot]) -> None:
        """Add lots to a position, which stays in the order of acquisition."""
        position = self.positions.setdefault(instrument, Position())
        position.lots = sorted([*position.lots, *lots], key=lambda lot: lot.session)

    def take(
        self, event: Event, instrument: str, quantity: Decimal, chosen: Iterable[tuple[str, str]] = ()
    ) -> list[Lot]:
        """Remove shares by the lot method, or the lots that were chosen."""
        position = self.positions.get(instrument)
        if position is None or position.quantity < quantity:
            held = ZERO if position is None else position.quantity
            raise AccountError(
                f"the ledger sells {quantity} {instrument} but holds {held}; an event before it is missing "
                f"(at {event.key})"
            )
        taken = position.take(quantity, self.lot_method, [(name, Decimal(part)) for name, part in chosen])
        if not position.lots:
            del self.positions[instrument]
        return taken

    def close(self, event: Event, instrument: str, lots: list[Lot], proceeds: Decimal, reason: str) -> None:
        """Realise lots: each gets its part of the proceeds, the last one what is left of it."""
        self.cash += proceeds
        quantity = sum((lot.quantity for lot in lots), ZERO)
        left = proceeds
        for index, lot in enumerate(lots):
            last = index == len(lots) - 1
            part = left if last else (proceeds * lot.quantity / quantity).quantize(TICK)
            left -= part
            closed = ClosedLot(
                instrument, lot.identity, lot.session, event.session, lot.quantity, lot.cost, part, reason
            )
            self.closed_lots.append(closed)
            self.realised += closed.profit


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
        Everything that moved cash or shares, so that a corrected fill can be booked as if it had been right at once.
    amended
        Busted and corrected fills by key, as they count.
    cancelled
        Keys of events that their broker has taken back; they count no more.
    quarantine
        By key, the activities of the broker that could not be booked and that the operator has not answered.
    """

    name: str = ""
    plans: dict[pd.Timestamp, Plan] = field(default_factory=dict)
    closes: list[tuple[pd.Timestamp, Decimal, Decimal]] = field(default_factory=list)
    history: list[Event] = field(default_factory=list)
    amended: dict[str, EffectiveFill] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    quarantine: dict[str, Event] = field(default_factory=dict)

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
        )

    @property
    def last_session(self) -> pd.Timestamp | None:
        """Last booked session."""
        return self.closes[-1][0] if self.closes else None

    def apply(self, event: Event) -> None:
        """Change the state by one event."""
        if event.kind in _RECORDS:
            _RECORDS[event.kind](self, event)
        if event.kind in MOVES:
            MOVES[event.kind](self, event)
            self.history.append(event)

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


def _open(state: Books, event: Event) -> None:
    amount = Decimal(event.payload["cash"])
    state.cash += amount
    state.contributed += amount
    state.lot_method = LotMethod(event.payload.get("lot_method", LotMethod.FIFO))


def _choose_lot_method(state: Books, event: Event) -> None:
    state.lot_method = LotMethod(event.payload["method"])


def _fill(state: Books, event: Event) -> None:
    payload = event.payload
    quantity, fee = Decimal(payload["quantity"]), Decimal(payload["fee"])
    value = quantity * Decimal(payload["price"])
    state.fees += fee
    if payload["side"] == "buy":
        # A statement says what was paid to the cent; price times quantity may have more decimals.
        paid = -Decimal(payload["cash"]) if "cash" in payload else value + fee
        state.cash -= paid
        state.receive(payload["instrument"], [Lot(event.session, quantity, paid, event.key)])
    else:
        proceeds = Decimal(payload["cash"]) if "cash" in payload else value - fee
        lots = state.take(event, payload["instrument"], quantity, payload.get("lots", ()))
        state.close(event, payload["instrument"], lots, proceeds, "sale")


def _external_cash(state: Books, event: Event) -> None:
    amount = Decimal(event.payload["amount"])
    state.cash += amount
    state.contributed += amount


def _fee(state: Books, event: Event) -> None:
    amount = Decimal(event.payload["amount"])
    state.cash += amount
    state.charges -= amount
    state.fees -= amount


def _tax(state: Books, event: Event) -> None:
    amount = Decimal(event.payload["amount"])
    state.cash += amount
    state.taxes -= amount


def _interest(state: Books, event: Event) -> None:
    amount = Decimal(event.payload["amount"])
    state.cash += amount
    state.interest += amount


def _other_cash(state: Books, event: Event) -> None:
    amount = Decimal(event.payload["amount"])
    state.cash += amount
    state.other += amount


def _move_foreign(state: Books, event: Event) -> None:
    instrument = event.payload["instrument"]
    held = state.foreign.pop(instrument, ZERO) + Decimal(event.payload["quantity"])
    if held:
        state.foreign[instrument] = held
    _other_cash(state, event)


def _adjust(state: Books, event: Event) -> None:
    if Decimal(event.payload.get("quantity", "0")):
        _transfer(state, event)
    _other_cash(state, event)


def _transfer(state: Books, event: Event) -> None:
    instrument, quantity = event.payload["instrument"], Decimal(event.payload["quantity"])
    if quantity > 0:
        cost = Decimal(event.payload["cost"])
        opened = pd.Timestamp(event.payload.get("opened", event.session))
        state.contributed += cost
        state.receive(instrument, [Lot(opened, quantity, cost, event.key)])
    else:
        lots = state.take(event, instrument, -quantity, event.payload.get("lots", ()))
        state.contributed -= sum((lot.cost for lot in lots), ZERO)


def _count_session(state: Books, event: Event) -> None:
    for position in state.positions.values():
        position.sessions_held += 1


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
    _book_again(state)


def _quarantine(state: AccountState, event: Event) -> None:
    state.quarantine[event.key] = event


def _resolve(state: AccountState, event: Event) -> None:
    if state.quarantine.pop(event.payload["row"], None) is None:
        raise AccountError(f"{event.key} answers {event.payload['row']}, which is not in quarantine")


def _book_again(state: AccountState) -> None:
    """Compute what the account owns from its whole history, as if amended fills had been right at once."""
    books = Books()
    for known in state.history:
        if known.key in state.cancelled:
            continue
        revised = state.amended.get(known.key)
        if revised is None:
            MOVES[known.kind](books, known)
        elif revised.counts:
            MOVES[known.kind](books, replace(known, payload=revised.facts))
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


def _name(state: AccountState, event: Event) -> None:
    state.name = event.payload["account"]


MOVES: dict[EventKind, Callable[[Books, Event], None]] = {
    EventKind.ACCOUNT_OPENED: _open,
    EventKind.FILL: _fill,
    EventKind.DEPOSIT: _external_cash,
    EventKind.WITHDRAWAL: _external_cash,
    EventKind.FEE: _fee,
    EventKind.TAX: _tax,
    EventKind.INTEREST: _interest,
    EventKind.TRANSFER: _transfer,
    EventKind.LOT_METHOD_CHOSEN: _choose_lot_method,
    EventKind.SPLIT: corporate.split,
    EventKind.CASH_DIVIDEND: corporate.pay_dividend,
    EventKind.DELISTING: corporate.delist,
    EventKind.SPIN_OFF: corporate.spin_off,
    EventKind.MERGER: corporate.merge,
    EventKind.SYMBOL_CHANGE: corporate.change_symbol,
    EventKind.CASH_IN_LIEU: corporate.pay_in_lieu,
    EventKind.RETURN_OF_CAPITAL: corporate.return_capital,
    EventKind.OTHER_CASH: _other_cash,
    EventKind.FOREIGN_MOVED: _move_foreign,
    EventKind.ADJUSTMENT: _adjust,
    EventKind.SESSION_CLOSED: _count_session,
}
"""What moves the books. Kinds that are not here, such as a plan or an order that ended without a trade, do not."""

_RECORDS: dict[EventKind, Callable[[AccountState, Event], None]] = {
    EventKind.ACCOUNT_OPENED: _name,
    EventKind.SESSION_CLOSED: _close,
    EventKind.PLAN_RECORDED: _plan,
    EventKind.TRADE_BUST: _revise,
    EventKind.TRADE_CORRECTION: _revise,
    EventKind.EVENT_CANCELLED: _cancel,
    EventKind.ACTIVITY_QUARANTINED: _quarantine,
    EventKind.QUARANTINE_RESOLVED: _resolve,
}
