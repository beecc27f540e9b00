"""What a folder of statements would book, from an empty account, without writing anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.bookkeeping import book_entry, is_same_fact
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.statements.cells import plain
from quant_pipeline.trading.statements.importer import ImportedStatements
from quant_pipeline.trading.statements.market_check import unbooked_dividends, unbooked_splits
from quant_pipeline.trading.statements.stated import compare_with_books

CENT = Decimal("0.01")


@dataclass
class Preview:
    """What statements would book.

    Attributes
    ----------
    formats
        Recognised format by file.
    state
        The account after everything that can be booked.
    problems, warnings
        What has to be repaired before anything is booked, and what should be looked at.
    """

    formats: dict[str, str] = field(default_factory=dict)
    state: AccountState = field(default_factory=AccountState)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return plain values: whether all is booked, cash, positions, profit, problems, warnings, quarantined rows."""
        held = self.state.foreign | {name: position.quantity for name, position in self.state.positions.items()}
        return {
            "ok": not self.problems and not self.quarantined,
            "cash": amount(self.state.cash),
            "positions": {name: plain(quantity) for name, quantity in sorted(held.items())},
            "realised": amount(self.state.realised),
            "problems": self.problems,
            "warnings": self.warnings,
            "quarantined": self.quarantined,
        }

    @property
    def quarantined(self) -> list[str]:
        """Rows that would wait in quarantine until the operator answers them."""
        return [event.payload["problem"] for event in self.state.quarantine.values()]


def preview_statements(
    imported: ImportedStatements, lot_method: str = "fifo", corporate_actions: pd.DataFrame | None = None
) -> Preview:
    """Book statements into an empty account.

    Parameters
    ----------
    imported
        What the files say.
    lot_method
        Which lots sales take.
    corporate_actions
        Those of the market, as far as one is known; a split that no statement books is a problem.
    """
    preview = Preview(imported.formats, AccountState(), [*imported.problems], [*imported.warnings])
    if not imported.entries:
        return preview
    first = imported.entries[0].event.session
    opened = Event(
        first, EventKind.ACCOUNT_OPENED, "open:preview", {"account": "preview", "cash": "0", "lot_method": lot_method}
    )
    preview.state.apply(opened)
    booked, known = [opened], dict[str, Event]()
    for entry in imported.entries:
        seen = known.setdefault(entry.event.key, entry.event)
        if seen is not entry.event:
            if not is_same_fact(seen, entry.event):
                preview.problems.append(f"{entry.place}: another file has this row with other values: {seen.content}")
            continue
        try:
            book_entry(preview.state, entry)
        except AccountError as error:
            preview.problems.append(error.message)
        else:
            booked.append(entry.event)
    if not preview.problems:
        preview.problems += compare_with_books(booked, imported.stated)
    if corporate_actions is not None:
        preview.problems += unbooked_splits(booked, corporate_actions)
        preview.warnings += unbooked_dividends(booked, corporate_actions)
    if preview.state.cash < 0:
        preview.warnings.append(f"cash is {amount(preview.state.cash)}: borrowed on margin, or a deposit is missing")
    return preview


def amount(value: Decimal) -> str:
    """Write an amount of money with two decimals, or as many as it has."""
    exact = (value + 0).quantize(CENT)
    return str(exact) if exact == value else plain(value)
