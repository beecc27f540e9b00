"""Books: cash, lots and where everything came from, and what each event does to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.ledger import corporate_actions as corporate
from quant_pipeline.trading.ledger.amendments import EffectiveFill
from quant_pipeline.trading.ledger.events import TICK, Event, EventKind
from quant_pipeline.trading.ledger.lots import ZERO, ClosedLot, Lot, LotMethod, Position


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


def _open(state: Books, event: Event) -> None:
    amount = Decimal(event.payload["cash"])
    state.cash += amount
    state.contributed += amount
    state.lot_method = LotMethod(event.payload.get("lot_method", LotMethod.FIFO))


def _choose_lot_method(state: Books, event: Event) -> None:
    state.lot_method = LotMethod(event.payload["method"])


def _fill(state: Books, event: Event) -> None:
    payload = event.payload
    # A statement says what was paid to the cent; price times quantity may have more decimals.
    quantity, cash = Decimal(payload["quantity"]), EffectiveFill.of(event).cash
    state.fees += Decimal(payload["fee"])
    if payload["side"] == "buy":
        state.cash += cash
        state.receive(payload["instrument"], [Lot(event.session, quantity, -cash, event.key)])
    else:
        lots = state.take(event, payload["instrument"], quantity, payload.get("lots", ()))
        state.close(event, payload["instrument"], lots, cash, "sale")


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
