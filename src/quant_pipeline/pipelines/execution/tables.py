"""Tables of execution: last close, average volume and sector of each instrument; verdicts; orders; breaks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import pandas as pd

from quant_pipeline.market.classification import UNKNOWN_SECTORS
from quant_pipeline.market.clock import SESSIONS_PER_YEAR
from quant_pipeline.market.volume import has_traded
from quant_pipeline.trading.ledger.events import Order
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.reconciliation import Break
from quant_pipeline.trading.orders.risk_view import DenialCode, Verdict

_ORDER = ["client_order_id", "instrument", "side", "quantity", "reference_price", "reason"]
_VERDICT = [*_ORDER, "verdict", "code", "value", "limit", "message", "deal_session", "provenance", "is_new"]
_SENT = [
    "client_order_id",
    "instrument",
    "side",
    "planned",
    "quantity",
    "filled",
    "average_price",
    "state",
    "reference_price",
    "message",
    "reason",
]


def market_table(
    bars: pd.DataFrame, instruments: pd.DataFrame, members: pd.DataFrame, sessions: pd.DatetimeIndex, volume_window: int
) -> pd.DataFrame:
    """Return what is known of every instrument at the close of the last session.

    Parameters
    ----------
    bars
        As traded, up to the last session, sorted by instrument and date.
    instruments
        ``instrument`` and ``sector``.
    members
        ``date``, ``instrument`` of the universe.
    sessions
        Sessions; the last one is that of the decision.
    volume_window
        Bars of the average volume.

    Returns
    -------
    pandas.DataFrame
        ``instrument``, ``price`` (last close, USD), ``price_age`` (sessions), ``average_volume`` (shares per session),
        ``sector`` (empty when unknown), ``tradable`` (has a bar with volume in the last session), ``member``.
        Instruments whose last bar is older than a year are left out.
    """
    recent = bars[bars["date"] >= sessions[max(0, len(sessions) - SESSIONS_PER_YEAR)]]
    by_instrument = recent.groupby("instrument", sort=True)
    last = by_instrument.tail(1).set_index("instrument").sort_index()
    volume = by_instrument["volume"].apply(lambda values: values.tail(volume_window).mean())
    today = set(members.loc[members["date"] == sessions[-1], "instrument"])
    age = len(sessions) - 1 - sessions.get_indexer(pd.DatetimeIndex(last["date"]))
    sector = (
        instruments.set_index("instrument")["sector"]
        .reindex(last.index)
        .replace(dict.fromkeys(UNKNOWN_SECTORS, ""))
        .fillna("")
    )
    table = pd.DataFrame(
        {
            "price": last["close"],
            "price_age": age,
            "average_volume": volume.reindex(last.index),
            "sector": sector,
            "tradable": (age == 0) & has_traded(last),
            "member": last.index.isin(today),
        }
    )
    return table.rename_axis("instrument").reset_index()


def verdict_table(
    known: AccountOrders, verdicts: Sequence[Verdict], session: pd.Timestamp, provenance: Mapping[str, str]
) -> pd.DataFrame:
    """List the verdicts of a session: those in the ledger, then new ones.

    Returns
    -------
    pandas.DataFrame
        One row per order, with what `verdicts_of` needs to make the verdicts again.
    """
    source = json.dumps(dict(provenance), sort_keys=True)
    deal_session = f"{session:%Y-%m-%d}"
    rows = []
    for tracked in known.of_session(session):
        verdict = "denied" if tracked.state == "denied" else "approved"
        row = asdict(tracked.order) | {"verdict": verdict, "code": tracked.message.partition(":")[0]}
        row["code"] = row["code"] if verdict == "denied" else ""
        rows.append(row | {"message": tracked.message, "is_new": False})
    for new in verdicts:
        row = asdict(new.order) | {"verdict": "approved" if new.approved else "denied", "code": str(new.code or "")}
        rows.append(row | {"value": new.value, "limit": new.limit, "message": new.message, "is_new": True})
    table = pd.DataFrame(rows, columns=_VERDICT).assign(deal_session=deal_session, provenance=source)
    text = [name for name in _VERDICT if name not in ("quantity", "is_new")]
    table[text] = table[text].fillna("").astype("str")
    has_fractions = any(quantity % 1 for quantity in table["quantity"])
    return table.astype({"quantity": "float64" if has_fractions else "int64", "is_new": bool})


def verdicts_of(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Make the new verdicts of a table again."""
    return tuple(
        Verdict(
            Order(**{name: row[name] for name in _ORDER}),
            DenialCode(row["code"]) if row["code"] else None,
            row["value"],
            row["limit"],
        )
        for row in table[table["is_new"]].to_dict("records")
    )


def order_states_table(book: AccountOrders, session: pd.Timestamp, waiting: Mapping[str, str]) -> pd.DataFrame:
    """List the orders of a session and what became of them.

    Parameters
    ----------
    book
        The orders.
    session
        Session in which they execute.
    waiting
        What those that have not left yet wait for, by their names.
    """
    rows = []
    for tracked in book.of_session(session):
        order = tracked.order
        price = tracked.average_price
        is_waiting = tracked.state == "intended"
        message = waiting.get(order.client_order_id, tracked.message) if is_waiting else tracked.message
        rows.append(
            (
                order.client_order_id,
                order.instrument,
                order.side,
                order.quantity,
                tracked.quantity if tracked.quantity % 1 else int(tracked.quantity),
                float(tracked.filled),
                float("nan") if price is None else float(price),
                str(tracked.state),
                float(order.reference_price),
                message,
                tracked.reason(message),
            )
        )
    numbers = dict.fromkeys(("filled", "average_price", "reference_price"), "float64")
    texts = dict.fromkeys(("client_order_id", "instrument", "side", "state", "message", "reason"), "str")
    return pd.DataFrame(rows, columns=_SENT).astype(numbers | texts)


def breaks_table(breaks: Sequence[Break]) -> pd.DataFrame:
    """List what differs between the books and the broker."""
    rows = [(found.what, str(found.ledger), str(found.broker)) for found in breaks]
    return pd.DataFrame(rows, columns=["what", "ledger", "broker"]).astype("str")
