"""Every kernel on a few bars with gaps, against pandas and numpy window by window."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.factors.engine import compute_factors

SESSIONS = pd.bdate_range("2024-01-02", periods=34)


def make_bars():
    """Three instruments: complete, halted and without some volumes, and one that stands still for a while."""
    random = np.random.default_rng(8)
    parts = []
    for name, since in (("A", 0), ("B", 3), ("C", 0)):
        days = SESSIONS[since:]
        close = 20 * np.exp(np.cumsum(random.normal(0, 0.03, len(days))))
        opening = close * np.exp(random.normal(0, 0.01, len(days)))
        volume = np.round(np.exp(random.normal(8, 1, len(days))))
        if name == "C":
            close[10:20] = close[10]
        table = pd.DataFrame({"date": days, "instrument": name, "open": opening, "close": close, "volume": volume})
        if name == "B":
            table.loc[[4, 21], "volume"] = np.nan
            table = table.drop(index=[6, 7, 13])
        parts.append(table)
    bars = pd.concat(parts, ignore_index=True)
    return bars.astype(dict.fromkeys(("open", "close", "volume"), "float32"))


def rolling(name, n, *arguments, **options):
    return lambda b: getattr(b["close"].rolling(n, min_periods=1), name)(*arguments, **options)


def of_windows(n, measure, fields=("close",)):
    """Apply a measure to every window, the first ones shorter."""

    def values(b):
        columns = [b[field].to_numpy() for field in fields]
        windows = [[column[max(i - n + 1, 0) : i + 1] for column in columns] for i in range(len(b))]
        return pd.Series([measure(*window) for window in windows], index=b.index)

    return values


def trend(window):
    """Fit a line through the values that are there: slope, share explained, last residual."""
    places = np.flatnonzero(~np.isnan(window))
    if len(places) < 2:
        return np.nan, np.nan, np.nan
    values = window[places]
    slope, level = np.polyfit(places, values, 1)
    flat = values.std(ddof=1) <= 2e-5
    fit = np.nan if flat else np.corrcoef(places, values)[0, 1] ** 2
    return slope, fit, window[-1] - slope * (len(window) - 1) - level


def place_of(chosen):
    """Place of an extreme, counted from 1; a missing value wins, as in numpy."""
    return lambda window: np.nan if np.isnan(window).all() else chosen(window) + 1


def place_of_known(chosen):
    """Place of an extreme, counted from 1, of the values that are there."""
    return lambda window: np.nan if np.isnan(window).all() else chosen(window) + 1


def correlation(left, right):
    here = ~np.isnan(left) & ~np.isnan(right)
    flat = [len(s := side[~np.isnan(side)]) > 1 and s.std(ddof=1) <= 2e-5 for side in (left, right)]
    return np.nan if here.sum() < 2 or any(flat) else np.corrcoef(left[here], right[here])[0, 1]


def fading(window):
    weights = (1 - 2 / (1 + len(window))) ** np.arange(len(window))[::-1]
    return np.nansum(weights / weights.sum() * window) if not np.isnan(window).all() else np.nan


CASES = {
    "$close+$open*$volume": lambda b: b["close"].astype("f4") + b["open"].astype("f4") * b["volume"].astype("f4"),
    "($close-$open)/$open": lambda b: (b["close"] - b["open"]) / b["open"],
    "Ref($close,3)/$close": lambda b: b["close"].shift(3) / b["close"],
    "Delta($close,2)*Mean($close,3)": lambda b: b["close"].diff(2) * b["close"].rolling(3, min_periods=1).mean(),
    "Abs($close-$open)": lambda b: (b["close"] - b["open"]).abs(),
    "Sign($close-$open)": lambda b: np.sign(b["close"] - b["open"]),
    "Sign(Mean($close,3)-$open)": lambda b: np.sign(b["close"].rolling(3, min_periods=1).mean() - b["open"]),
    "Log($volume+1)": lambda b: np.log(b["volume"] + 1),
    "Power($close,2)": lambda b: b["close"] ** 2,
    "Greater($close,$open)-Less($close,$open)": lambda b: (b["close"] - b["open"]).abs(),
    "Greater(Mean($close,3),$open)": lambda b: np.maximum(b["close"].rolling(3, min_periods=1).mean(), b["open"]),
    "If($close>=$open,$close,0)": lambda b: b["close"].where(b["close"] >= b["open"], 0.0),
    "If(Std($close,3)<0.4,Mean($close,3),$open)": lambda b: (
        b["close"].rolling(3, min_periods=1).mean().where(b["close"].rolling(3, min_periods=1).std() < 0.4, b["open"])
    ),
    "Not(($close>$open)&($volume>3000))": lambda b: ~((b["close"] > b["open"]) & (b["volume"] > 3000)),
    "($close<=$open)|($volume!=$volume)": lambda b: (b["close"] <= b["open"]) | b["volume"].isna(),
    "Mean($close==Ref($close,1),4)": lambda b: (b["close"] == b["close"].shift()).rolling(4, min_periods=1).mean(),
    "Sum($close>Ref($close,1),4)": lambda b: (b["close"] > b["close"].shift()).rolling(4, min_periods=1).sum(),
    "Mean($close,7)": rolling("mean", 7),
    "Sum($close,5)": rolling("sum", 5),
    "Std($close,7)": rolling("std", 7),
    "Var($close,5)": rolling("var", 5),
    "Max($close,6)": rolling("max", 6),
    "Min($close,6)": rolling("min", 6),
    "Max(Mean($close,1),4)": rolling("max", 4),
    "Med($close,5)": rolling("median", 5),
    "Quantile($close,6,0.8)": rolling("quantile", 6, 0.8),
    "Quantile(Mean($close,1),6,0.2)": rolling("quantile", 6, 0.2),
    "Rank($close,6)": rolling("rank", 6, pct=True),
    "Rank(Mean($close,1),5)": rolling("rank", 5, pct=True),
    "Count($close,5)": rolling("count", 5),
    "Skew($close,6)": rolling("skew", 6),
    "Kurt($close,7)": rolling("kurt", 7),
    "Mad($close,5)": of_windows(5, lambda w: np.nanmean(np.abs(w - np.nanmean(w)))),
    "WMA($close,4)": of_windows(4, lambda w: np.nanmean(np.arange(1, len(w) + 1) / np.arange(1, len(w) + 1).sum() * w)),
    "IdxMax($close,6)": of_windows(6, place_of(np.argmax)),
    "IdxMin($close,6)": of_windows(6, place_of(np.argmin)),
    "IdxMax(Mean($close,1),5)": of_windows(5, place_of(np.argmax)),
    "IdxMaxKnown($close,6)": of_windows(6, place_of_known(np.nanargmax)),
    "IdxMinKnown($close,6)": of_windows(6, place_of_known(np.nanargmin)),
    "IdxMaxKnown(Mean($close,1),2)": of_windows(2, place_of_known(np.nanargmax)),
    "IdxMinKnown($volume,0)": of_windows(99, place_of_known(np.nanargmin), ("volume",)),
    "Slope($close,6)": of_windows(6, lambda w: trend(w)[0]),
    "Rsquare($close,6)": of_windows(6, lambda w: trend(w)[1]),
    "Resi($close,6)": of_windows(6, lambda w: trend(w)[2]),
    "Corr($close,$volume,6)": of_windows(6, correlation, ("close", "volume")),
    "Corr($close,$open,5)": of_windows(5, correlation, ("close", "open")),
    "Corr(Mean($close,1),$volume,6)": of_windows(6, correlation, ("close", "volume")),
    "Cov($close,$volume,5)": lambda b: b["close"].rolling(5, min_periods=1).cov(b["volume"]),
    "EMA($close,5)": lambda b: b["close"].ewm(span=5, min_periods=1).mean(),
    "Sum($close,0)": lambda b: b["close"].expanding(1).sum(),
    "Std($close,0)": lambda b: b["close"].expanding(1).std(),
    "Max($close,0)": lambda b: b["close"].expanding(1).max(),
    "IdxMin($close,0)": of_windows(99, place_of(np.argmin)),
    "Count($volume,0)": lambda b: b["volume"].expanding(1).count(),
    "Slope($close,0)": of_windows(99, lambda w: trend(w)[0]),
    "Resi($close,0)": of_windows(99, lambda w: trend(w)[2]),
    "Cov($close,$volume,0)": lambda b: b["close"].expanding(1).cov(b["volume"]),
    "Corr($close,$volume,0)": of_windows(99, correlation, ("close", "volume")),
    "Ref($close,0)": lambda b: pd.Series(b["close"].iloc[0], b.index),
    "Rank($close,0)": lambda b: b["close"].expanding(1).rank(pct=True),
    "Quantile($close,0,0.3)": lambda b: b["close"].expanding(1).quantile(0.3),
    "Skew($close,0)": lambda b: b["close"].expanding(1).skew(),
    "Kurt($close,0)": lambda b: b["close"].expanding(1).kurt(),
    "EMA($close,0)": of_windows(99, fading),
}


@pytest.fixture(scope="module")
def bars():
    return make_bars()


@pytest.fixture(scope="module")
def ours(bars):
    return compute_factors(bars, {text: text for text in CASES}, SESSIONS)


@pytest.mark.parametrize("expression", CASES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_operator_is_what_pandas_and_numpy_make_of_each_window(bars, ours, expression):
    for instrument, rows in bars.groupby("instrument"):
        days = SESSIONS[rows["date"].min() <= SESSIONS]
        table = rows.set_index("date").reindex(days)[["open", "close", "volume"]].astype("float64")
        expected = CASES[expression](table).astype("float64").to_numpy()
        mine = ours[expression].xs(instrument, level="instrument").to_numpy()
        np.testing.assert_array_equal(np.isnan(mine), np.isnan(expected), err_msg=instrument)
        np.testing.assert_allclose(mine, expected, rtol=2e-5, atol=2e-5, err_msg=f"{expression} of {instrument}")


def test_operators_across_instruments_on_a_session_with_a_halt(bars):
    table = bars.assign(group=bars["instrument"].map({"A": 0.0, "B": 0.0, "C": 1.0}))
    texts = {"rank": "CSRank($close)", "scale": "CSScale($close)", "rest": "CSNeutralize($close, $group)"}
    ours = compute_factors(table, texts, SESSIONS)
    wide = bars.pivot(index="date", columns="instrument", values="close").astype("float64")
    alone = wide[["A", "B"]].sub(wide[["A", "B"]].mean(axis=1), axis=0).assign(C=wide["C"] * 0)
    for name, frame in {
        "rank": wide.rank(axis=1, pct=True),
        "scale": wide.div(wide.abs().sum(axis=1), axis=0),
        "rest": alone,
    }.items():
        mine = ours[name].unstack("instrument")
        np.testing.assert_allclose(mine, frame.reindex_like(mine), rtol=1e-5, atol=1e-5, err_msg=name)
