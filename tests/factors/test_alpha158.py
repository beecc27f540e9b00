"""Alpha158 against Qlib's own list and against pandas, on real bars."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import FactorError
from quant_pipeline.factors import alpha158, alpha360
from quant_pipeline.factors.engine import compute_factors
from quant_pipeline.factors.labels import label_expression
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.sources.files import FilesMarketParameters, read_market_files

TEN = ["AAPL", "AMZN", "BAC", "GE", "IBM", "JNJ", "KO", "NVDA", "WMT", "XOM"]


def test_names_order_and_formulas_are_those_of_qlib():
    from qlib.contrib.data.loader import Alpha158DL, Alpha360DL

    for ours, loader in ((alpha158, Alpha158DL), (alpha360, Alpha360DL)):
        formulas, names = loader.get_feature_config()
        assert list(ours.EXPRESSIONS) == names
        assert list(ours.EXPRESSIONS.values()) == formulas


@pytest.fixture(scope="module")
def bars(real_market):
    parameters = FilesMarketParameters(bars="us_daily_csv")
    market = read_market_files(real_market, parameters, as_of="2016-12-30")
    adjusted = adjust_bars(market.bars, market.corporate_actions)
    return adjusted[adjusted["instrument"].isin(TEN)].reset_index(drop=True)


@pytest.fixture(scope="module")
def sessions(bars):
    return pd.DatetimeIndex(sorted(bars["date"].unique()))


def correlation(frame, n):
    return frame["left"].rolling(n).corr(frame["right"])


def slope(values):
    steps = np.arange(len(values))
    return np.polyfit(steps, values, 1)[0]


CLOSED_FORMS = {
    "KMID": lambda b: (b.close - b.open) / b.open,
    "KLEN": lambda b: (b.high - b.low) / b.open,
    "KUP": lambda b: (b.high - b[["open", "close"]].max(axis=1)) / b.open,
    "KSFT": lambda b: (2 * b.close - b.high - b.low) / b.open,
    "ROC20": lambda b: b.close.shift(20) / b.close,
    "MA10": lambda b: b.close.rolling(10, min_periods=1).mean() / b.close,
    "STD30": lambda b: b.close.rolling(30, min_periods=1).std() / b.close,
    "MAX60": lambda b: b.high.rolling(60, min_periods=1).max() / b.close,
    "MIN5": lambda b: b.low.rolling(5, min_periods=1).min() / b.close,
    "QTLU20": lambda b: b.close.rolling(20, min_periods=1).quantile(0.8) / b.close,
    "RSV10": lambda b: (
        (b.close - b.low.rolling(10, min_periods=1).min())
        / (b.high.rolling(10, min_periods=1).max() - b.low.rolling(10, min_periods=1).min() + 1e-12)
    ),
    "CNTP20": lambda b: (b.close > b.close.shift()).rolling(20, min_periods=1).mean(),
    "VMA5": lambda b: b.volume.rolling(5, min_periods=1).mean() / (b.volume + 1e-12),
    "RANK10": lambda b: b.close.rolling(10, min_periods=1).rank(pct=True),
    "BETA20": lambda b: b.close.rolling(20).apply(slope, raw=True) / b.close,
    "CORR20": lambda b: b.close.rolling(20, min_periods=1).corr(np.log(b.volume + 1)),
}


def test_sixteen_factors_of_ten_real_instruments_equal_their_closed_form(bars, sessions):
    panel = compute_factors(bars, {name: alpha158.EXPRESSIONS[name] for name in CLOSED_FORMS}, sessions)
    for instrument, rows in bars.groupby("instrument"):
        # Qlib reads its fields as float32; a tie in float32 need not be one in float64.
        table = rows.set_index("date").drop(columns="instrument").astype("float32").astype("float64")
        ours = panel.xs(instrument, level="instrument")
        for name, formula in CLOSED_FORMS.items():
            expected = formula(table).iloc[60:]
            given = ours[name].reindex(expected.index)
            np.testing.assert_allclose(given, expected, rtol=5e-4, atol=5e-4, err_msg=f"{name} of {instrument}")


def test_the_label_is_the_return_between_the_execution_prices_of_the_clock(bars, sessions):
    panel = compute_factors(bars, {"label": label_expression("open", 2)}, sessions, allow_future=True)
    rows = bars[bars["instrument"] == "KO"].set_index("date")["open"]
    expected = rows.shift(-3) / rows.shift(-1) - 1
    np.testing.assert_allclose(panel.xs("KO", level="instrument")["label"], expected, rtol=1e-3, atol=1e-6)


def test_a_panel_is_sorted_float32_and_has_a_row_per_session_and_instrument(bars, sessions):
    panel = compute_factors(bars, {"MA5": "Mean($close, 5)/$close"}, sessions, start=sessions[-3])
    assert panel.index.names == ["datetime", "instrument"]
    assert panel.index.is_monotonic_increasing
    assert panel["MA5"].dtype == "float32"
    assert len(panel) == 3 * len(TEN)
    assert str(panel.index.dtypes["datetime"]) == "datetime64[ns]"


def test_a_halt_is_a_missing_value_to_the_operators(bars, sessions):
    halted = bars.drop(index=bars.index[(bars["instrument"] == "KO") & (bars["date"] == sessions[-2])])
    panel = compute_factors(halted, {"yesterday": "Ref($close, 1)/$close"}, sessions, start=sessions[-2])
    ours = panel.xs("KO", level="instrument")["yesterday"]
    assert ours.isna().tolist() == [True, True]


@pytest.mark.parametrize(
    "expression", [label_expression("close", 1), "Mean(Ref($close, -1), 5)", "Ref(Mean($open, 3),-2)"]
)
def test_a_feature_that_looks_ahead_is_refused(bars, sessions, expression):
    with pytest.raises(FactorError, match="feature 'cheat' looks ahead"):
        compute_factors(bars, {"cheat": expression}, sessions)


def test_an_expression_that_qlib_cannot_read_names_the_factor(bars, sessions):
    with pytest.raises(FactorError, match="broken"):
        compute_factors(bars, {"broken": "Nonsense($close, 5)"}, sessions)


def test_noise_after_a_session_changes_no_factor_before_it_by_a_bit(bars, sessions):
    cut = sessions[-60]
    factors = {name: alpha158.EXPRESSIONS[name] for name in ("MA60", "CORD30", "WVMA20", "IMXD10", "RSQR60", "VSUMD5")}
    noise = np.random.default_rng(3).uniform(0.5, 2.0, len(bars))
    poisoned = bars.copy()
    later = poisoned["date"] > cut
    for column in ("open", "high", "low", "close", "vwap", "volume"):
        poisoned[column] = poisoned[column].where(~later, poisoned[column] * noise)
    clean = compute_factors(bars, factors, sessions, end=cut)
    dirty = compute_factors(poisoned, factors, sessions, end=cut)
    pd.testing.assert_frame_equal(clean, dirty, check_exact=True)


def test_the_page_explains_every_factor_of_the_bar_and_every_family(project_path):
    page = (project_path / "docs/concepts/alpha158.md").read_text(encoding="utf-8")
    windows = [name.removesuffix("60") for name in alpha158.EXPRESSIONS if name.endswith("60")]
    bar = list(alpha158.EXPRESSIONS)[:13]
    assert [name for name in (*bar, *windows) if f"`{name}`" not in page] == []
