"""Signals by name: every value equals a formula written in pandas, whatever the prices."""

from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from quant_pipeline.factors.engine import compute_factors
from quant_pipeline.factors.signals import KINDS, read_signal

SESSIONS = 290
DAYS = pd.bdate_range("2023-01-02", periods=SESSIONS, unit="ns")


def bars_of(seed, suspended=()):
    """Random bars of one instrument, without those of its suspended sessions.

    Prices are whole 64ths, which float32 adds without rounding: signals that ask whether a price rose have one answer.
    """
    random = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.02, SESSIONS)))
    high, low = (close * np.exp(sign * np.abs(random.normal(0, 0.01, SESSIONS))) for sign in (1, -1))
    close, high, low = (np.round(64 * price) / 64 for price in (close, high, low))
    volume = random.integers(1_000, 100_000, SESSIONS).astype("float64")
    bars = pd.DataFrame({"date": DAYS, "instrument": "A", "high": high, "low": low, "close": close, "volume": volume})
    bars = bars.assign(open=bars["close"], vwap=bars["close"], factor=1.0, sector=0.0)
    return bars.drop(index=list(suspended)).reset_index(drop=True)


def values_of(bars, **formulas):
    panel = compute_factors(bars, formulas, DAYS)
    return panel.xs("A", level="instrument").reindex(DAYS).astype("float64")


def weighted(values, window):
    return values.ewm(alpha=1 / window, min_periods=1).mean()


def rolling(values, window):
    return values.rolling(window, min_periods=1)


def typical(b):
    return (b["high"] + b["low"] + b["close"]) / 3


def rsi(b):
    change = b["close"].diff()
    rises, falls = weighted(change.clip(lower=0), 14), weighted((-change).clip(lower=0), 14)
    return 50 - (100 - 100 / (1 + rises / falls))


def macd(b):
    spans = [b["close"].ewm(span=span, min_periods=1).mean() for span in (12, 26)]
    line = spans[0] - spans[1]
    return (line - line.ewm(span=9, min_periods=1).mean()) / b["close"]


def kdj(b):
    low, high = rolling(b["low"], 9).min(), rolling(b["high"], 9).max()
    k = weighted(100 * (b["close"] - low) / (high - low), 3)
    return 50 - (3 * k - 2 * weighted(k, 3))


def atr_breakout(b):
    before = b["close"].shift(1)
    ranges = pd.concat([b["high"] - b["low"], (b["high"] - before).abs(), (b["low"] - before).abs()], axis=1)
    true_range = ranges.max(axis=1, skipna=False)
    return (b["close"] - rolling(b["close"], 20).mean()) / weighted(true_range, 14)


def donchian(b):
    low, high = rolling(b["low"], 20).min().shift(1), rolling(b["high"], 20).max().shift(1)
    return (b["close"] - low) / (high - low)


def on_balance_volume(b):
    return rolling(np.sign(b["close"].diff()) * b["volume"], 20).sum() / rolling(b["volume"], 20).sum()


def money_flow(b):
    price = typical(b)
    flow = price * b["volume"]
    rises = rolling(flow.where(price > price.shift(1), 0.0), 14).sum()
    falls = rolling(flow.where(price < price.shift(1), 0.0), 14).sum()
    return 50 - 100 * rises / (rises + falls)


def channel_index(b):
    price = typical(b)
    deviation = rolling(price, 20).apply(lambda part: np.mean(np.abs(part - part.mean())), raw=True)
    return (price - rolling(price, 20).mean()) / (0.015 * deviation)


PANDAS = {
    "rsi": rsi,
    "macd": macd,
    "moving_average_cross": lambda b: rolling(b["close"], 20).mean() / rolling(b["close"], 50).mean() - 1,
    "bollinger": lambda b: (rolling(b["close"], 20).mean() - b["close"]) / (2 * rolling(b["close"], 20).std()),
    "kdj": kdj,
    "atr_breakout": atr_breakout,
    "donchian": donchian,
    "momentum": lambda b: b["close"].shift(21) / b["close"].shift(252) - 1,
    "reversal": lambda b: 1 - b["close"] / b["close"].shift(5),
    "on_balance_volume": on_balance_volume,
    "money_flow": money_flow,
    "channel_index": channel_index,
    "yearly_high": lambda b: b["close"] / rolling(b["high"], 252).max(),
    "low_volatility": lambda b: -rolling(b["close"].pct_change(), 60).std(),
}


def test_every_signal_has_a_formula_in_pandas():
    assert {*PANDAS, "expression"} == set(KINDS)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_values_equal_those_of_pandas(seed):
    bars = bars_of(seed)
    found = values_of(bars, **{name: read_signal(name, None).formula for name in PANDAS})
    for name, formula in PANDAS.items():
        wanted = formula(bars.set_index("date"))
        # The engine keeps float32 as Qlib does; the first sessions of a window may divide by almost nothing.
        largest = wanted.iloc[30:].abs().max()
        np.testing.assert_allclose(found[name].iloc[30:], wanted.iloc[30:], rtol=0, atol=3e-5 * largest, err_msg=name)


@pytest.mark.parametrize(
    ("name", "given", "closes", "last"),
    [
        ("reversal", {"window": 2}, [10, 11, 12], -0.2),
        ("momentum", {"window": 3, "skip": 1}, [10, 11, 12, 13], 0.2),
        ("moving_average_cross", {"fast": 1, "slow": 4}, [10, 10, 10, 14], 14 / 11 - 1),
        ("donchian", {"window": 2}, [10, 12, 13], 1.5),
        # Rises and falls weigh 1/3, 2/3 within the two changes: (1/2 x 0 + 1 x 2) / 1.5 against (1/2 x 1) / 1.5.
        ("rsi", {"window": 2}, [10, 9, 11], -30.0),
        ("on_balance_volume", {"window": 2}, [10, 9, 11], 0.0),
        ("yearly_high", {"window": 3}, [10, 20, 15], 0.75),
    ],
)
def test_a_signal_by_hand(name, given, closes, last):
    bars = bars_of(0).iloc[: len(closes)]
    prices = pd.Series([float(close) for close in closes])
    bars = bars.assign(open=prices, high=prices, low=prices, close=prices, vwap=prices, volume=5.0)
    found = compute_factors(bars, {"s": read_signal(name, given).formula}, DAYS[: len(closes)])
    assert found["s"].iloc[-1] == pytest.approx(last, rel=1e-6, abs=1e-6)


def test_a_price_that_never_moved_has_no_strength():
    bars = bars_of(0).assign(open=10.0, high=10.0, low=10.0, close=10.0)
    found = values_of(bars, rsi=read_signal("rsi", None).formula)["rsi"]
    assert not np.isfinite(found).any()


def test_an_entry_may_have_a_name_of_its_own_and_other_parameters():
    slow = read_signal("slow_rsi", {"signal": "rsi", "window": 28})
    assert slow.formula == read_signal("rsi", {"window": 28}).formula != read_signal("rsi", None).formula
    assert read_signal("mine", {"signal": "expression", "expression": "$close"}).formula == "$close"


def test_an_unknown_signal_and_an_unknown_parameter_are_refused():
    with pytest.raises(ValueError, match="there is no signal 'rsl'; there are rsi, macd"):
        read_signal("rsl", None)
    with pytest.raises(ValidationError, match="windw"):
        read_signal("rsi", {"windw": 7})


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("macd", {"fast": 26}, r"fast \(26\) has to be less than slow \(26\), or a high score does not say"),
        ("macd", {"slow": 5}, r"fast \(12\) has to be less than slow \(5\)"),
        ("moving_average_cross", {"fast": 50}, r"fast \(50\) has to be less than slow \(50\)"),
        ("momentum", {"skip": 252}, r"skip \(252\) has to be less than window \(252\)"),
        ("momentum", {"window": 20}, r"skip \(21\) has to be less than window \(20\)"),
    ],
)
def test_parameters_that_would_turn_the_meaning_of_a_score_are_refused(name, given, said):
    with pytest.raises(ValidationError, match=said):
        read_signal(name, given)


NUMBERS = [
    (name, key, field.annotation)
    for name, kind in KINDS.items()
    for key, field in kind.model_fields.items()
    if field.annotation in (int, float)
]


@pytest.mark.parametrize(("name", "key", "number"), NUMBERS, ids=[f"{name}.{key}" for name, key, _ in NUMBERS])
def test_no_parameter_is_zero_negative_not_finite_or_a_truth_value(name, key, number):
    for value in (0, -1, True, float("nan"), float("inf"), *([1.5] if number is int else [])):
        with pytest.raises(ValidationError):
            read_signal(name, {key: value})


@pytest.mark.parametrize(("name", "key", "number"), NUMBERS, ids=[f"{name}.{key}" for name, key, _ in NUMBERS])
def test_the_smallest_value_of_every_parameter_still_tells_sessions_apart(name, key, number):
    shorter, longer = KINDS[name].shorter or ("", "")
    signals = []
    for smallest in (1, 2):
        with suppress(ValidationError):
            signals.append(read_signal(name, {key: smallest} | ({shorter: 1} if key == longer else {})))
    found = values_of(bars_of(1), s=signals[0].formula)["s"].iloc[30:]
    assert found[np.isfinite(found)].nunique() > 1


@pytest.mark.parametrize("block", [14, "rsi", ["window"], True])
def test_an_entry_that_is_no_block_is_refused(block):
    with pytest.raises(ValidationError, match="valid dictionary or instance of Signal"):
        read_signal("rsi", block)
