"""The profit of every session in parts: what was held, what was traded, costs, interest, everything else."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import pandas as pd

from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.ledger.lots import ZERO
from quant_pipeline.trading.ledger.session_effects import Effect, SessionEffects, is_corporate

PARTS = ("holdings", "trading", "costs", "interest", "other")
PART_COLUMNS = {
    "date": "datetime64[ns]",
    "since": "datetime64[ns]",
    "before": "float64",
    "after": "float64",
    "change": "float64",
    "flow": "float64",
    **dict.fromkeys(PARTS, "float64"),
}
HOLDING_COLUMNS = {"date": "datetime64[ns]", "instrument": "str", "value": "float64", "profit": "float64"}


def profit_parts(sessions: Iterable[SessionEffects]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cut the change of the net asset value of sessions into parts.

    Returns
    -------
    tuple of pandas.DataFrame
        By session: ``date``, ``since`` (the session of the close before; missing before the first), ``before`` and
        ``after`` (net asset value), ``change``, ``flow`` (what the owner paid in),
        ``holdings`` (closes and corporate actions of what was held), ``trading`` (fills against the close of the
        session), ``costs`` (fees and taxes, negative), ``interest``, ``other`` (corrections, adjustments, cash of
        unknown kinds, positions without lots, closes that were revised). ``change`` is the sum of ``flow`` and the five
        parts. By session and holding: ``value`` at the close before and ``profit``, which sum to ``holdings``.
    """
    rows, held = [], []
    for each in sessions:
        profits = _of_holdings(each)
        parts = {"holdings": sum(profits.values(), ZERO), **dict.fromkeys(PARTS[1:], ZERO)}
        for effect in each.effects:
            for part, amount in _parts_of(effect, each):
                parts[part] += amount
        parts["other"] += each.foreign + each.valuation
        change = each.after - each.before
        facts = {"date": each.session, "since": each.since, "before": each.before, "after": each.after}
        facts |= {"change": change}
        rows.append({**facts, "flow": each.flow, **parts})
        held += [
            (each.session, name, each.start.positions[name].quantity * each.closes_before[name], profit)
            if name in each.start.positions
            else (each.session, name, ZERO, profit)
            for name, profit in profits.items()
        ]
    sessions_table = pd.DataFrame(rows, columns=list(PART_COLUMNS)).astype(PART_COLUMNS)
    return sessions_table, pd.DataFrame(held, columns=list(HOLDING_COLUMNS)).astype(HOLDING_COLUMNS)


def _of_holdings(each: SessionEffects) -> dict[str, Decimal]:
    """Return what holdings earned by instrument, corporate actions included."""
    profits = dict(each.held)
    for effect in each.effects:
        if is_corporate(effect.event):
            name = str(effect.event.payload.get("instrument", ""))
            profits[name] = profits.get(name, ZERO) + effect.profit
    return profits


def _parts_of(effect: Effect, each: SessionEffects) -> list[tuple[str, Decimal]]:
    event = effect.event
    match event.kind:
        case EventKind.FILL:
            facts = event.payload
            sign = 1 if facts["side"] == "buy" else -1
            moved = Decimal(facts["quantity"]) * (each.closes[facts["instrument"]] - Decimal(facts["price"]))
            return [("trading", sign * moved), ("costs", effect.profit - sign * moved)]
        case EventKind.INTEREST:
            return [("interest", effect.profit)]
        case EventKind.FEE | EventKind.TAX if not is_corporate(event):
            return [("costs", effect.profit)]
    return [] if is_corporate(event) else [("other", effect.profit)]
