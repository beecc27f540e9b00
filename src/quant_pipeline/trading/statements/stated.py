"""What statements themselves say was held at the end of their periods, compared with what was booked."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import pandas as pd

from quant_pipeline.trading.activities.quarantine import effects_of, open_rows
from quant_pipeline.trading.ledger.account import AccountState, fold
from quant_pipeline.trading.ledger.events import Event
from quant_pipeline.trading.statements.cells import plain
from quant_pipeline.trading.statements.formats import StatementFormat, agrees
from quant_pipeline.trading.statements.numbers import read_number
from quant_pipeline.trading.statements.records import Reading

_REASONS = "a statement or a row is missing, or one was booked twice"
PERIOD_ENDS = ("%B %d, %Y", "%b %d, %Y", "%Y-%m-%d", "%m/%d/%Y", "%Y%m%d")


@dataclass(frozen=True)
class StatedHolding:
    """What a statement says is held at the end of a day.

    Attributes
    ----------
    place
        File and row.
    day
        Last day of the period.
    instrument
        What is held; empty for cash.
    amount
        Shares, or cash.
    """

    place: str
    day: pd.Timestamp
    instrument: str
    amount: Decimal

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.place.rpartition(", row ")[0]


def stated_holdings(form: StatementFormat, reading: Reading, currency: str) -> list[StatedHolding]:
    """Return what a statement says is held at the end of its period, in the currency of the account."""
    day = _period_end(reading.fields.get(form.period or "", ""))
    if day is None:
        return []
    found = []
    for stated in form.stated:
        rows = [row for row in reading.rows if row.section == stated.section and agrees(row, stated.when)]
        own = [row for row in rows if stated.currency and row.get(stated.currency) == currency]
        # The sum in the base currency comes first.
        for row in own or (rows[:1] if stated.currency else rows):
            if not row.get(stated.value):
                continue
            try:
                amount = read_number(row.get(stated.value), form.decimal or ".", form.currency)
            except ValueError as error:
                reading.problems.append(f"{row.place}, column {stated.value}: {error}")
                continue
            instrument = _named_here(row.get(stated.instrument), form) if stated.instrument else ""
            found.append(StatedHolding(row.place, day, instrument, amount))
    return found


def _named_here(name: str, form: StatementFormat) -> str:
    for pattern, replacement in form.symbols.items():
        if re.fullmatch(pattern, name.upper()):
            return re.sub(f"^(?:{pattern})$", replacement, name.upper())
    return name.upper()


def _period_end(period: str) -> pd.Timestamp | None:
    text = re.split(r"\s+(?:-|to)\s+", period)[-1].strip()
    for pattern in PERIOD_ENDS:
        try:
            return pd.Timestamp(datetime.strptime(text, pattern))
        except ValueError:
            continue
    return None


def compare_with_books(events: Sequence[Event], stated: Iterable[StatedHolding]) -> list[str]:
    """Compare what statements say is held with the books of that day.

    Parameters
    ----------
    events
        The ledger with what the statements book.
    stated
        What the statements say.

    Returns
    -------
    list of str
        What differs.
    """
    by_file: dict[tuple[str, pd.Timestamp], list[StatedHolding]] = defaultdict(list)
    for holding in stated:
        by_file[holding.file, holding.day].append(holding)
    differences = []
    for (file, day), holdings in by_file.items():
        state = fold(events, up_to=day)
        differences += [found for holding in holdings if (found := _difference(holding, state))]
        listed = {holding.instrument for holding in holdings} - {""}
        # A statement that lists what is held lists all of it.
        for name in sorted(set(state.positions) - listed) if listed else ():
            held = plain(state.positions[name].quantity)
            differences.append(f"{file}: the books end with {held} {name}, the statement lists none; {_REASONS}")
    return differences


def _difference(holding: StatedHolding, state: AccountState) -> str:
    """Compare one amount with the books and what rows in quarantine explain; an unknown effect explains everything."""
    rows, (waiting_cash, waiting_shares) = open_rows(state), effects_of(state)
    if holding.instrument:
        # Shares whose number or name is not known may be these.
        if any(
            row.shares != 0 and not (row.shares and row.instrument) and row.instrument in ("", holding.instrument)
            for row in rows
        ):
            return ""
        position = state.positions.get(holding.instrument)
        booked, what = (Decimal(0) if position is None else position.quantity), holding.instrument
        booked, tolerance = booked + waiting_shares.get(what, Decimal(0)), Decimal("0.0001")
    else:
        if any(row.cash is None for row in rows):
            return ""
        booked, what, tolerance = state.cash + waiting_cash, "cash", Decimal("0.01")
    if abs(booked - holding.amount) <= tolerance:
        return ""
    return (
        f"{holding.place}: the statement ends with {plain(holding.amount)} {what}, the books with {plain(booked)}; "
        f"{_REASONS}"
    )
