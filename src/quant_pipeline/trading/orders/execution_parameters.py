"""How orders are sent: the ``execution`` block of the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from quant_pipeline.common.parameters import Parameters
from quant_pipeline.trading.broker_records import TimeInForce


class ExecutionRules(Parameters):
    """How a plan becomes orders at a broker.

    Attributes
    ----------
    account_number
        The only account that may be traded; None takes the one the keys open. ``live`` needs it.
    needs_arming
        Whether a session must be armed before anything is sent.
    waves
        ``sells_first`` waits for the sales before it buys, as cash accounts need it, and so begins with the open;
        ``together`` sends everything at once, to an exchange that executes sales first or on an account with margin.
    time_in_force
        ``day``: until the close, and from the close of the session before when everything leaves together; ``opg`` and
        ``cls``: for the opening or the closing auction only, from the evening before until shortly before the broker's
        cut-off. It has to fit ``market_rules.deal_price``: what would execute at another price is refused.
    order_type
        ``market``, or ``limit`` at `limit_distance` beyond the reference price.
    limit_distance
        How much worse than the reference price a limit order may execute, as a fraction.
    cash_buffer
        Fraction of the price by which a buy may cost more than expected; that cash is kept back when cash is short.
    wait_for_sales_seconds
        How long a run waits for its sales before it sends the buys.
    wait_for_fills_seconds
        How long a run follows its open orders at the end.
    poll_seconds
        Pause between questions to the broker.
    max_attempts
        How often a question is asked before the run gives up; orders are never repeated under another name.
    missing_fill_polls
        Polls that a fill may be missing in the activities before it is inferred from the order.
    lease_seconds
        Seconds that a lease outlives its last use; so long a sender that died on another machine keeps others out.
    """

    renamed: ClassVar[Mapping[str, str]] = {"attempts": "max_attempts"}

    account_number: str | None = None
    needs_arming: bool = False
    waves: Literal["sells_first", "together"] = "sells_first"
    time_in_force: Literal[TimeInForce.DAY, TimeInForce.OPENING, TimeInForce.CLOSING] = TimeInForce.DAY
    order_type: Literal["market", "limit"] = "market"
    limit_distance: Annotated[float, Field(gt=0, lt=1)] = 0.02
    cash_buffer: Annotated[float, Field(ge=0, lt=1)] = 0.02
    wait_for_sales_seconds: NonNegativeFloat = 600
    wait_for_fills_seconds: NonNegativeFloat = 600
    poll_seconds: PositiveFloat = 2.0
    max_attempts: PositiveInt = 5
    missing_fill_polls: PositiveInt = 5
    lease_seconds: PositiveFloat = 120

    @model_validator(mode="after")
    def _auction_executes_everything_at_once(self) -> Self:
        if self.time_in_force is not TimeInForce.DAY and self.waves == "sells_first":
            raise ValueError(
                "orders of an auction cannot wait for its sales: set waves to together, or time_in_force to day"
            )
        return self
