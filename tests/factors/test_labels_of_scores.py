"""Which execution price a label is of."""

import pandas as pd
import pytest

from quant_pipeline.factors.labels import is_label_of, label_expression, stated_label

OPEN, WEEKLY = "Ref($open, -2)/Ref($open, -1)-1", "Ref($open, -6)/Ref($open, -1)-1"


@pytest.mark.parametrize("price", ["open", "close", "vwap"])
@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_a_label_is_of_its_own_price_alone(price, horizon):
    of = {other for other in ("open", "close", "vwap") if is_label_of(label_expression(price, horizon), other)}
    assert of == {price}


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "Ref($open, -1)/Ref($open, -1)-1",  # no session is held
        "Ref($open, -2)/Ref($close, -1)-1",  # another price to buy at
        "Ref($open, -2)/Ref($open, -0)-1",  # bought at a price that was known when it was decided
        "Ref($open, -3)/Ref($open, -2)-1",  # bought two sessions later
        "Ref($open, -2)/$open-1",
        f"{OPEN}; {OPEN}",
    ],
)
def test_what_orders_at_the_open_do_not_earn_is_no_label_of_it(expression):
    assert not is_label_of(expression, "open")


@pytest.mark.parametrize(
    ("labels", "stated"),
    [
        ([OPEN, OPEN], OPEN),
        ([WEEKLY, OPEN], f"{OPEN}; {WEEKLY}"),
        ([OPEN, None], ""),
        ([OPEN, ""], ""),
        ([None, None], ""),
        ([], ""),
    ],
)
def test_scores_state_what_every_row_predicts(labels, stated):
    assert stated_label(pd.DataFrame({"label": labels})) == stated
    assert stated_label(pd.DataFrame({"label": labels}).astype("str")) == stated
    assert stated_label(pd.DataFrame({"score": [1.0]})) == ""
