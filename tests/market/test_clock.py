import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.factors.labels import label_expression
from quant_pipeline.market import clock
from quant_pipeline.market.calendar import TradingCalendar


def test_orders_decided_before_a_long_weekend_execute_after_it():
    decided = pd.Timestamp("2024-03-28")  # 2024-03-29 was Good Friday.
    calendar = TradingCalendar.of("XNYS", decided, decided)
    assert clock.execution_session(calendar, decided) == pd.Timestamp("2024-04-01")


@pytest.mark.parametrize(("horizon", "lag"), [(1, 2), (5, 6)])
def test_label_is_complete_one_session_after_its_horizon(horizon, lag):
    assert clock.label_lag(horizon) == lag


def test_label_enters_at_the_execution_price_and_leaves_after_the_horizon():
    assert label_expression("open", 2) == "Ref($open, -3)/Ref($open, -1)-1"
    assert label_expression("close", 1) == "Ref($close, -2)/Ref($close, -1)-1"


@pytest.mark.parametrize("horizon", [0, -1])
def test_horizon_below_one_session_is_refused_with_a_remedy(horizon):
    for use in (clock.label_lag, lambda h: label_expression("open", h)):
        with pytest.raises(ConfigurationError, match="at least one session"):
            use(horizon)
