"""Lots: shares bought together, what they cost, and which of them a sale takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.ledger.events import TICK

ZERO = Decimal(0)
SHARE_STEP = Decimal("0.000000001")
"""Fractions of shares carry nine decimals, as at Alpaca."""


class LotMethod(StrEnum):
    """Which lots a sale takes when it names none.

    ``fifo`` takes the oldest first; ``hifo`` the most expensive per share first, which realises the smallest gain.
    """

    FIFO = "fifo"
    HIFO = "hifo"


@dataclass(frozen=True)
class Lot:
    """Shares bought together.

    Attributes
    ----------
    session
        Session in which they were acquired; a spin-off or merger keeps that of the shares it came from.
    quantity
        Shares.
    cost
        What all of them cost, fee included.
    identity
        Key of the event that acquired them; a sale names it to take this very lot.
    """

    session: pd.Timestamp
    quantity: Decimal
    cost: Decimal
    identity: str = ""

    @property
    def cost_per_share(self) -> Decimal:
        """Cost of one share."""
        return self.cost / self.quantity


@dataclass(frozen=True)
class ClosedLot:
    """Shares of one lot that left the account for money.

    Attributes
    ----------
    instrument, identity
        What they were, and the lot they came from.
    opened, closed
        Sessions of purchase and sale.
    quantity, cost, proceeds
        Shares, what they had cost and what they brought, fees included on both sides.
    reason
        ``sale``, or the corporate action that took them.
    """

    instrument: str
    identity: str
    opened: pd.Timestamp
    closed: pd.Timestamp
    quantity: Decimal
    cost: Decimal
    proceeds: Decimal
    reason: str

    @property
    def profit(self) -> Decimal:
        """What was gained, or lost when negative."""
        return self.proceeds - self.cost


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

    def take(self, quantity: Decimal, method: LotMethod, chosen: Sequence[tuple[str, Decimal]] = ()) -> list[Lot]:
        """Remove shares and return the lots, or parts of lots, that they were.

        Parameters
        ----------
        quantity
            How many; not more than are held.
        method
            Which lots go first when none are chosen.
        chosen
            ``(identity, quantity)`` of specific lots; together they must be ``quantity``.

        Raises
        ------
        AccountError
            When a chosen lot is not held, or the choice does not add up.
        """
        if chosen and sum((part for _, part in chosen), ZERO) != quantity:
            raise AccountError(f"the chosen lots hold {sum(part for _, part in chosen)} shares, the sale {quantity}")
        taken = []
        for place, part in list(self._choose(chosen) if chosen else self._in_turn(quantity, method)):
            lot = self.lots[place]
            cost = lot.cost if part == lot.quantity else (lot.cost * part / lot.quantity).quantize(TICK)
            taken.append(replace(lot, quantity=part, cost=cost))
            self.lots[place] = replace(lot, quantity=lot.quantity - part, cost=lot.cost - cost)
        self.lots = [lot for lot in self.lots if lot.quantity > 0]
        return taken

    def _in_turn(self, quantity: Decimal, method: LotMethod) -> Iterator[tuple[int, Decimal]]:
        places = list(range(len(self.lots)))
        if method is LotMethod.HIFO:
            places.sort(key=lambda place: (-self.lots[place].cost_per_share, place))
        for place in places:
            part = min(self.lots[place].quantity, quantity)
            if part <= 0:
                return
            quantity -= part
            yield place, part

    def _choose(self, chosen: Sequence[tuple[str, Decimal]]) -> Iterator[tuple[int, Decimal]]:
        places = {lot.identity: index for index, lot in enumerate(self.lots)}
        left = {identity: self.lots[index].quantity for identity, index in places.items()}
        for identity, part in chosen:
            held = left.get(identity, ZERO)
            if part <= 0 or part > held:
                raise AccountError(f"{part} shares of lot '{identity}' were chosen, but it holds {held}")
            # A lot may be named twice; it gives what it has only once.
            left[identity] = held - part
            yield places[identity], part

    def scale(self, quantity: Decimal) -> None:
        """Turn all shares into ``quantity`` shares of the same cost, each lot by its part."""
        before = self.quantity
        scaled = [
            replace(lot, quantity=(lot.quantity * quantity / before).quantize(SHARE_STEP)) for lot in self.lots[:-1]
        ]
        rest = quantity - sum((lot.quantity for lot in scaled), ZERO)
        self.lots = [*scaled, replace(self.lots[-1], quantity=rest)]

    def give_cost(self, amount: Decimal) -> list[Decimal]:
        """Take an amount of cost out of the lots, each by its part of the cost, and return what each gave."""
        total = self.cost
        given: list[Decimal] = []
        for index, lot in enumerate(self.lots):
            last = index == len(self.lots) - 1
            part = amount - sum(given, ZERO) if last or not total else (amount * lot.cost / total).quantize(TICK)
            given.append(part)
            self.lots[index] = replace(lot, cost=lot.cost - part)
        return given
