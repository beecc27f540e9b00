"""Who may send orders of an account now, as its ledger says."""

from __future__ import annotations

import pandas as pd

from quant_pipeline.cli.opened_account import Opened
from quant_pipeline.trading.orders.lease import Holder, read_holder


def holder_of(account: Opened, now: pd.Timestamp) -> Holder | None:
    """Return who holds the lease to send; None when it is free. Nothing is written."""
    if not account.events:
        # There may be no ledger yet, and looking must not make one.
        return None
    ledger = account.ledger.open()
    try:
        return read_holder(ledger.engine, now.timestamp())
    finally:
        ledger.engine.dispose()
