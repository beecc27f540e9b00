"""The last check before an order is sent, the same for every broker: leased, armed, not stopped, approved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from quant_pipeline.common.exceptions import AccountError, ConfigurationError
from quant_pipeline.trading.broker_records import BrokerOrder, OrderRequest
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules
from quant_pipeline.trading.orders.journal import Journal
from quant_pipeline.trading.orders.kill_switch import KillSwitch
from quant_pipeline.trading.orders.states import OrderState
from quant_pipeline.trading.ports import Broker, OrderWithheldError


class GatedBroker:
    """A broker that takes only orders which may be sent; everything else passes through.

    Order management checks all of this before, with better answers. The gate holds for whatever code sends: an order
    that was forgotten to be checked is an error here, and nothing arrives at the broker. Requests and cancellations
    always pass.

    Parameters
    ----------
    broker
        The broker.
    journal
        The ledger of the account, with or without its lease.
    kill_switch
        Stops every order.
    rules
        Which account is pinned, and whether it needs arming.
    session
        Session in which the orders execute.
    """

    def __init__(
        self, broker: Broker, journal: Journal, kill_switch: KillSwitch, rules: ExecutionRules, session: pd.Timestamp
    ) -> None:
        self._broker = broker
        self._journal = journal
        self._kill_switch = kill_switch
        self._rules = rules
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def submit(self, order: OrderRequest) -> BrokerOrder:
        """Send an order once, if it may be sent; see `quant_pipeline.trading.ports.Broker.submit`.

        Raises
        ------
        AccountError
            When the account was opened without its lease, or no recorded verdict approves this very order.
        ConfigurationError
            When the account needs arming and is not pinned.
        OrderWithheldError
            When a kill switch is active, the trading state does not let this side through, the account is not armed
            for the session, or a later plan of it has taken the place of the order's.
        """
        checks: tuple[Callable[[OrderRequest], None], ...] = (
            self._require_lease,
            self._require_no_stop,
            self._require_arming,
            self._require_approval,
            self._require_newest_plan,
        )
        for check in checks:
            check(order)
        return self._broker.submit(order)

    def _require_lease(self, order: OrderRequest) -> None:
        if self._journal.lease is None:
            raise AccountError(
                f"{order.client_order_id} was not sent: this desk was opened to look only, without the account's lease"
            )

    def _require_arming(self, order: OrderRequest) -> None:
        pinned = self._rules.account_number
        if not self._rules.needs_arming:
            return
        if pinned is None:
            raise ConfigurationError(
                f"{order.client_order_id} was not sent: execution.account_number pins no account. Pin it, then run "
                "`kedro account arm`."
            )
        if self._journal.book.armed.get(self._session) != pinned:
            raise OrderWithheldError(
                f"{order.client_order_id} was not sent: account {pinned} is not armed for {self._session:%Y-%m-%d}; "
                "`kedro account arm` arms it"
            )

    def _require_no_stop(self, order: OrderRequest) -> None:
        # Another process may have halted, disarmed or planned again while the broker was slow to answer the questions
        # before; the checks that follow see that too.
        self._journal.catch_up()
        state = self._journal.book.trading_state
        reason = self._kill_switch.reason(state)
        if reason is None and not state.lets_through(order.side):
            reason = f"the account is {state}"
        if reason is not None:
            raise OrderWithheldError(f"{order.client_order_id} was not sent: {reason}")

    def _require_approval(self, order: OrderRequest) -> None:
        tracked = self._journal.book.orders.get(order.client_order_id)
        approved = None
        if tracked is not None and tracked.state is OrderState.SUBMITTING:
            approved = (tracked.order.instrument, tracked.order.side, tracked.quantity)
        if approved != (order.instrument, order.side, order.quantity):
            raise AccountError(
                f"{order.client_order_id} was not sent: the ledger has no approved order {order.side} "
                f"{order.quantity} {order.instrument} of that name that is about to be sent"
            )

    def _require_newest_plan(self, order: OrderRequest) -> None:
        plan = self._journal.account.plans.get(self._session)
        tracked = self._journal.book.orders[order.client_order_id]
        if plan is not None and tracked.session == self._session and not plan.has(order.client_order_id):
            raise OrderWithheldError(f"{order.client_order_id} was not sent: a later plan has taken its place")
