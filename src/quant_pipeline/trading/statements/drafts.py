"""What rows book, before they become entries: rows are joined, taken back and distinguished here."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pandas as pd

from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.statements.cells import Cells, plain
from quant_pipeline.trading.statements.dates import Moment
from quant_pipeline.trading.statements.formats import AmendmentRule

_NOT_COMPARED = ("note", "lots", "cost", "opened", "cost_fraction")
"""Facts that do not distinguish rows: words may be reworded, and what is missing is stated by hand later."""


@dataclass
class Draft:
    """What one row, or several joined ones, book.

    Attributes
    ----------
    format
        Name of the format.
    cells
        The row, or the first of the joined ones.
    kind, facts
        Kind and payload of the event.
    moment
        When it happened.
    cash
        Cash by which the statement says that the account changes; None when it does not say.
    identities
        Ids that the broker gives the rows; empty when it gives none.
    missing
        What a row written by hand has to state: ``cost``, ``cost_fraction`` or ``parent``.
    amendment
        Whether the row takes back or corrects another one.
    key
        Identity of the event; the same fact in another file has the same one.
    replaces
        Keys of facts that this one stands for, should they be booked already.
    is_ordered
        Whether its place among the rows of its day says when it happened.
    legs
        Shares that a corporate action moves, for a row that has to be joined with others.
    parts
        Names of the rows that were joined.
    rows
        Names of the rows it comes from, which do not depend on what rules make of them.
    currency
        Currency of its amounts, where that is not the account's.
    """

    format: str
    cells: Cells
    kind: EventKind
    facts: dict[str, Any]
    moment: Moment
    cash: Decimal | None
    identities: tuple[str, ...] = ()
    missing: str = ""
    amendment: AmendmentRule | None = None
    key: str = ""
    replaces: tuple[str, ...] = ()
    is_ordered: bool = True
    legs: list[Leg] = field(default_factory=list)
    parts: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    currency: str = ""

    @property
    def place(self) -> str:
        """File and row."""
        return self.cells.row.place

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.cells.row.file

    @property
    def day(self) -> pd.Timestamp:
        """Day by the clock of the exchange."""
        return pd.Timestamp(self.moment.at).normalize()

    @property
    def instrument(self) -> str:
        """Instrument that it is about; empty for cash of the account."""
        return str(self.facts.get("instrument", ""))

    @property
    def compared(self) -> dict[str, Any]:
        """Facts by which rows are distinguished."""
        return {name: value for name, value in self.facts.items() if name not in _NOT_COMPARED}


@dataclass(frozen=True)
class Leg:
    """One row of a corporate action that takes several: shares out or in, what one is worth where stated, cash."""

    instrument: str
    quantity: Decimal
    cash: Decimal
    price: Decimal | None = None


def name_drafts(drafts: list[Draft]) -> list[str]:
    """Give every draft of one file its key, and return what is wrong with their ids.

    A row is known by the broker's id. One without is known by its parsed content, and by how many equal rows stand
    above it in its file: two genuine equal trades stay two, and the same row in an overlapping file, in whatever
    notation, is the same fact.
    """
    seen: Counter[str] = Counter()
    named: dict[str, Draft] = {}
    problems = []
    for draft in drafts:
        if draft.key:
            continue
        if draft.identities:
            draft.key = f"{draft.format}:{draft.kind}:{'+'.join(sorted(draft.identities))}"
            first = named.setdefault(draft.key, draft)
            # Pages of a dump may overlap: the very same row again is the same fact.
            if (first.compared, first.moment) != (draft.compared, draft.moment):
                fault = draft.cells.fail("id", f"'{draft.identities[0]}' stands in this file twice for a {draft.kind}")
                problems.append(fault.message)
            continue
        digest = _digest(draft)
        seen[digest] += 1
        draft.key = f"{draft.format}:{draft.kind}:{digest}:{seen[digest]}"
    return problems


def _digest(draft: Draft) -> str:
    exact = draft.kind is EventKind.FILL and draft.moment.has_time
    when = f"{draft.moment.at:%Y-%m-%d %H:%M:%S}" if exact else f"{draft.day:%Y-%m-%d}"
    balance = plain(draft.cells.number("balance")) if draft.cells.has("balance") else ""
    content = json.dumps([when, balance, draft.compared], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:20]
