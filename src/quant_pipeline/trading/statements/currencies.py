"""Rows in other currencies than the account's, and the exchanges that turn their worth into it.

An account may receive a dividend in dollars that its broker exchanges to euros later: rows in dollars that sum to
nothing, and one in euros. These books are kept in one currency, so rows in the other one are left out, and the exchange
brings in their worth.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.statements.cells import plain
from quant_pipeline.trading.statements.drafts import Draft

EXCHANGE = "exchange"
"""Meaning of a row that is one side of an exchange of currencies."""

CASH_ONLY = (EXCHANGE, "deposit", "withdrawal", "dividend", "fee", "tax", "interest", "other_cash")
"""Rows that move no shares, and so may be in another currency where the format knows exchanges."""

_OF_THE_OWNER = {"deposit", "withdrawal"}


def settle_currencies(drafts: Sequence[Draft]) -> tuple[list[Draft], list[str], list[str]]:
    """Leave out rows in other currencies, and say what the exchanges into the account's currency are.

    Parameters
    ----------
    drafts
        Of all files, with their keys; those in another currency name it.

    Returns
    -------
    tuple
        The drafts in the currency of the account; what stays in another one, or is not clear; what was left out.
    """
    # A row that stands in two files is one.
    others = list({draft.key: draft for draft in drafts if draft.currency}.values())
    causes, problems = _causes_of(others)
    kept, warnings = [], []
    for draft in (draft for draft in drafts if not draft.currency):
        if draft.cells.rule.book != EXCHANGE:
            kept.append(draft)
            continue
        of_it = causes.get(draft.moment.at, set())
        if of_it & _OF_THE_OWNER and of_it - _OF_THE_OWNER:
            problems.append(_mixed(draft, of_it))
        is_owners = bool(of_it) and of_it <= _OF_THE_OWNER
        kept.append(_paid_in_or_out(draft) if is_owners else draft)
        warnings += [] if is_owners else [_told(draft)]
    numbers = Counter(draft.currency for draft in others)
    warnings += [f"{n} rows in {name} are left out; the exchanges bring in their worth" for name, n in numbers.items()]
    return kept, problems, warnings


def _causes_of(others: Iterable[Draft]) -> tuple[dict[datetime, set[str]], list[str]]:
    """Return what was exchanged, by the moment of the exchange, and what has never been."""
    open_causes: dict[str, set[str]] = defaultdict(set)
    balances: dict[str, Decimal] = defaultdict(Decimal)
    found: dict[datetime, set[str]] = defaultdict(set)
    last: dict[str, Draft] = {}
    for draft in sorted(others, key=lambda d: (d.moment.at, d.cells.rule.book == EXCHANGE)):
        name, book = draft.currency, draft.cells.rule.book
        balances[name] += draft.cash or Decimal(0)
        last[name] = draft
        if book != EXCHANGE:
            open_causes[name].add(book)
            continue
        found[draft.moment.at] |= open_causes[name]
        if not balances[name]:
            open_causes[name] = set()
    problems = [
        f"{last[name].place}: {plain(left)} {name} are not exchanged, and these books are kept in one currency. Add "
        "the statement with the exchange, or let a rule under `more_rows` ignore such rows"
        for name, left in balances.items()
        if left
    ]
    return found, problems


def _paid_in_or_out(draft: Draft) -> Draft:
    is_deposit = Decimal(draft.facts["amount"]) > 0
    return replace(draft, kind=EventKind.DEPOSIT if is_deposit else EventKind.WITHDRAWAL)


def _mixed(draft: Draft, causes: set[str]) -> str:
    return (
        f"{draft.place}: it exchanges rows of several kinds ({', '.join(sorted(causes))}) at once; write its parts "
        "into plain.csv, and let a rule under `more_rows` ignore this row"
    )


def _told(draft: Draft) -> str:
    amount, note = draft.facts["amount"], draft.facts.get("note") or draft.instrument
    return f"{draft.place}: {amount}, exchanged from another currency, is booked as other cash ({note})"
