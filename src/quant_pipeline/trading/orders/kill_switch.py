"""Four ways to stop sending, asked before every single order: a file, the shell, the ledger, the broker."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from quant_pipeline.trading.broker_records import BrokerAccount
from quant_pipeline.trading.orders.risk_view import TradingState

KILL_SWITCH_VARIABLE = "QUANT_PIPELINE_KILL_SWITCH"


@dataclass(frozen=True)
class KillSwitch:
    """Switches that the operator can use without any tool of this project.

    Attributes
    ----------
    file
        Trading stops while this file exists.
    environment
        Trading stops while `KILL_SWITCH_VARIABLE` is set here.
    """

    file: Path
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def reason(self, state: TradingState, account: BrokerAccount | None = None) -> str | None:
        """Return why nothing may be sent, or None.

        Parameters
        ----------
        state
            Trading state of the ledger.
        account
            The account as the broker states it; None when it was not asked.
        """
        if self.file.exists():
            return f"the kill switch file {self.file} exists"
        if self.environment.get(KILL_SWITCH_VARIABLE):
            return f"{KILL_SWITCH_VARIABLE} is set"
        if state is TradingState.HALTED:
            return "the account is halted"
        if account is not None and account.suspended:
            return "trading is suspended at the broker"
        if account is not None and account.trading_blocked:
            return "the broker blocks trading"
        return None
