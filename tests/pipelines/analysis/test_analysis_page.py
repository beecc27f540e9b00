"""The page of the analysis: every section, with its numbers or why there are none; at two widths in a browser."""

import pandas as pd
import pytest

from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.pipelines.analysis.execution import (
    AROUND_COLUMNS,
    EXCURSION_COLUMNS,
    GROUP_COLUMNS,
    SLIPPAGE_COLUMNS,
)
from quant_pipeline.pipelines.analysis.models import ALIKE_COLUMNS, LEFT_OUT_COLUMNS, MODEL_COLUMNS
from quant_pipeline.pipelines.analysis.page import compose_analysis_page
from quant_pipeline.pipelines.analysis.parameters import AnalysisParameters
from quant_pipeline.pipelines.analysis.portfolio import (
    CONCENTRATION_COLUMNS,
    EXIT_COLUMNS,
    MEASURE_COLUMNS,
    ROUND_TRIP_COLUMNS,
)
from quant_pipeline.pipelines.analysis.risk import ATTRIBUTION_COLUMNS, EXPOSURE_COLUMNS, MONEY, SUMMARY_COLUMNS
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.trading.shadow.causes import CAUSES
from quant_pipeline.trading.shadow.tables import SESSION_COLUMNS
from tests.helpers.browser import require_drawn

DAYS = pd.bdate_range("2025-01-02", periods=3)
NAN = float("nan")


def empty():
    return {
        "models": pd.DataFrame(columns=MODEL_COLUMNS),
        "left_out": pd.DataFrame(columns=LEFT_OUT_COLUMNS),
        "alike": pd.DataFrame(columns=ALIKE_COLUMNS),
        "execution": pd.DataFrame(columns=list(GROUP_COLUMNS)),
        "surroundings": pd.DataFrame(columns=AROUND_COLUMNS),
        "excursions": pd.DataFrame(columns=EXCURSION_COLUMNS),
        "slippage": pd.DataFrame(columns=SLIPPAGE_COLUMNS),
        "portfolio": pd.DataFrame(columns=MEASURE_COLUMNS),
        "round_trips": pd.DataFrame([("all", 0, NAN, NAN, NAN, NAN, NAN, NAN, 0.0)], columns=ROUND_TRIP_COLUMNS),
        "concentration": pd.DataFrame(columns=CONCENTRATION_COLUMNS),
        "exit": pd.DataFrame(columns=EXIT_COLUMNS),
        "attribution": pd.DataFrame(columns=list(ATTRIBUTION_COLUMNS)).astype(ATTRIBUTION_COLUMNS),
        "attribution_summary": pd.DataFrame([("profit", 0.0, NAN, NAN, NAN, 0)], columns=SUMMARY_COLUMNS),
        "exposures": pd.DataFrame(columns=EXPOSURE_COLUMNS),
        "loadings": pd.DataFrame(columns=["portfolio", "factors"]),
        "factor_returns": pd.DataFrame(),
        "factor_quality": pd.DataFrame(columns=["date", "instruments", "r_squared", "condition"]),
    }


def full():
    lightgbm = ("lightgbm", 90, 0.04, 0.03, 0.05, 0.4, 0.02, 0.01, 0.03, 0.01, "stable", 0.9, 0.3, DAYS[0])
    group = dict.fromkeys(GROUP_COLUMNS, 1.0) | {"group": "all", "of": "all orders", "lower": NAN, "upper": NAN}
    around = dict.fromkeys(AROUND_COLUMNS, 0.01) | {"group": "all", "of": "all orders", "orders": 9, "adverse": -0.02}
    attribution = {"date": DAYS, "change": [10.0, -3.0, 5.0], "flow": 0.0, **dict.fromkeys(MONEY, 0.0)}
    attribution |= {"market": [8.0, -2.0, 3.0], "selection": [2.0, -1.0, 2.0]}
    loading = {"factor": "market", "loading": 0.9, "lower": 0.8, "upper": 1.0, "t": 9.0, "contribution": 0.1}
    loading |= {"portfolio": "account", "factors": "published", "sessions": 90, "r_squared": 0.7}
    exposures = [(name, "momentum", 0.3, 0.2, 0.1, 0.4, 90) for name in ("account", "backtest")]
    return empty() | {
        "models": pd.DataFrame([lightgbm], columns=MODEL_COLUMNS),
        "left_out": pd.DataFrame([("lightgbm", 0.05, 0.04, 0.01, 0.0, 0.02, 90)], columns=LEFT_OUT_COLUMNS),
        "alike": pd.DataFrame([("2025Q1", "lightgbm", "ridge", 0.6)], columns=ALIKE_COLUMNS),
        "execution": pd.DataFrame([group]),
        "surroundings": pd.DataFrame([around]),
        "excursions": pd.DataFrame([("AAA", DAYS[0], DAYS[1], 2, 0.1, -0.05, 0.2, 50.0)], columns=EXCURSION_COLUMNS),
        "slippage": pd.DataFrame([("half_spread", 2e-4, 3e-4, 1e-4, 5e-4, 120, 30)], columns=SLIPPAGE_COLUMNS),
        "portfolio": pd.DataFrame([("sharpe", 1.5, 0.5, 2.5, 90)], columns=MEASURE_COLUMNS),
        "concentration": pd.DataFrame([(DAYS[0], 4, 0.3, 0.9, 3.5, 0.95)], columns=CONCENTRATION_COLUMNS),
        "exit": pd.DataFrame([("AAA", 100.0, 0.3, float("inf"))], columns=EXIT_COLUMNS),
        "attribution": pd.DataFrame(attribution),
        "attribution_summary": pd.DataFrame([("not_modelled", 1.0, 0.1, 0.0, 0.2, 90)], columns=SUMMARY_COLUMNS),
        "exposures": pd.DataFrame(exposures, columns=EXPOSURE_COLUMNS),
        "loadings": pd.DataFrame([loading]),
        "factor_quality": pd.DataFrame(
            [(DAYS[0], 120, 0.3, 5.0)], columns=["date", "instruments", "r_squared", "condition"]
        ),
    }


def compose(tables, shadow=None, decay=None):
    named = {f"analysis_{name}": table for name, table in tables.items()}
    return compose_analysis_page(
        shadow_sessions=pd.DataFrame(columns=list(SESSION_COLUMNS)) if shadow is None else shadow,
        analysed_model_decay=decay,
        analysis=AnalysisParameters(),
        market_rules=MarketRules(),
        account=AccountParameters(name="sim"),
        as_of="2025-01-06",
        **named,
    )


@pytest.fixture(scope="module")
def shadow():
    rows = {"date": DAYS, "difference": [0.0, 12.5, -2.0], **dict.fromkeys(CAUSES, 0.0)}
    return pd.DataFrame(rows).assign(delay=[0.0, 12.5, 0.0], impact=[0.0, 0.0, -2.0])


def test_account_without_anything_says_what_it_needs():
    page = compose(empty())
    for sentence in (
        "No order has been planned yet.",
        "Slippage is proposed from 100 executed orders in 60 sessions on.",
        "Two closes are needed before anything can be measured.",
        "How returns move with factors is measured from 60 sessions on.",
        "kedro run --pipelines model_report",
    ):
        assert sentence in page


def test_every_section_shows_its_numbers_with_their_bands(shadow):
    page = compose(full(), shadow)
    for text in (
        "lightgbm",
        "all orders",
        "0.000300",
        "kedro account adopt-slippage",
        "Sharpe ratio",
        "as spread as 3.50 equal ones",
        "cannot be said: some had no volume",
        "not modelled",
        "In the mean they explain 30.0% of the variance",
        "Account on published",
        "Account against its shadow over 3 sessions",
        "10.50",
    ):
        assert text in page
    assert compose(full(), shadow) == page
    same = shadow.assign(difference=0.0)
    assert "to the cent what its shadow earned" in compose(full(), same)


def test_account_that_has_sold_everything_says_so(shadow):
    sold = pd.DataFrame([(DAYS[0], 0, 0.0, 0.0, NAN, 0.0)], columns=CONCENTRATION_COLUMNS)
    page = compose(full() | {"concentration": sold, "exit": empty()["exit"]}, shadow)
    assert "Nothing is held at the newest close." in page
    assert "as spread as" not in page


def test_exposures_of_an_unknown_newest_close_are_not_drawn(shadow):
    unknown = pd.DataFrame([("account", "momentum", NAN, 0.2, 0.1, 0.4, 90)], columns=EXPOSURE_COLUMNS)
    page = compose(full() | {"exposures": unknown}, shadow)
    assert "+nan" not in page
    assert "No session yet" in page


def test_account_without_models_has_no_section_on_them():
    tables = {name: table for name, table in empty().items() if name not in ("models", "left_out", "alike")}
    assert '<section id="models"' not in compose(tables)


def test_page_is_drawn_in_a_browser_at_two_widths(shadow, tmp_path):
    require_drawn(compose(full(), shadow), tmp_path / "analysis.html")
