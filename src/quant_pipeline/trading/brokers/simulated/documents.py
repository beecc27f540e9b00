"""How the simulated broker writes orders and activities down, and reads them again."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd

from quant_pipeline.trading.broker_records import (
    Activity,
    BrokerOrder,
    CashActivity,
    CashKind,
    FillActivity,
    OrderRequest,
    OrderStatus,
    PositionActivity,
    PositionKind,
)

Document = dict[str, Any]


def write_order(order: OrderRequest, sequence: int, at: pd.Timestamp) -> Document:
    """Write an order that was taken."""
    return {
        "sequence": sequence,
        "client_order_id": order.client_order_id,
        "instrument": order.instrument,
        "side": order.side,
        "quantity": int(order.quantity),
        "time_in_force": order.time_in_force.value,
        "filled": 0,
        "price": None,
        "status": OrderStatus.ACCEPTED.value,
        "message": "",
        "submitted_at": at.isoformat(),
        "updated_at": at.isoformat(),
    }


def read_order(document: Document) -> BrokerOrder:
    """Read an order."""
    return BrokerOrder(
        broker_order_id=f"SIM-{document['sequence']}",
        client_order_id=document["client_order_id"],
        instrument=document["instrument"],
        side=document["side"],
        quantity=Decimal(document["quantity"]),
        filled_quantity=Decimal(document["filled"]),
        average_fill_price=None if document["price"] is None else Decimal(document["price"]),
        status=OrderStatus(document["status"]),
        raw_status=document["status"],
        order_type="market",
        time_in_force=document["time_in_force"],
        limit_price=None,
        submitted_at=pd.Timestamp(document["submitted_at"]),
        updated_at=pd.Timestamp(document["updated_at"]),
        message=document["message"],
    )


def read_activity(activity_id: str, document: Document) -> Activity:
    """Read an activity."""
    common = {"activity_id": activity_id, "date": pd.Timestamp(document["date"]), "raw": document}
    instrument = document["instrument"]
    if document["type"] == "fill":
        return FillActivity(
            **common,
            occurred_at=pd.Timestamp(document["occurred_at"]),
            broker_order_id=f"SIM-{document['sequence']}",
            instrument=instrument,
            side=document["side"],
            quantity=Decimal(document["quantity"]),
            price=Decimal(document["price"]),
            cumulative_quantity=Decimal(document["quantity"]),
            # Files from before cash was in whole cents do not state it.
            cash=Decimal(document["cash"]) if "cash" in document else None,
        )
    amount = Decimal(document["amount"])
    if document["type"] == "cash":
        return CashActivity(**common, kind=CashKind(document["kind"]), amount=amount, instrument=instrument)
    return PositionActivity(
        **common,
        kind=PositionKind(document["kind"]),
        instrument=instrument,
        quantity=Decimal(document["quantity"]),
        amount=amount,
    )
