"""Bars of instruments that are suspended at the edges of windows, new, or gone, and what is known of them today."""

import numpy as np
import pandas as pd

SESSIONS = pd.bdate_range("2021-01-04", periods=440)
TODAY = 399
SUSPENDED = {
    "EDGE060": (TODAY - 70, TODAY - 55),
    "EDGE120": (TODAY - 130, TODAY - 110),
    "EDGE250": (TODAY - 262, TODAY - 230),
    "TODAY": (TODAY - 1, TODAY + 4),
    "QUARTER": (TODAY - 80, TODAY),
    "YEAR": (TODAY - 300, TODAY - 2),
}
"""First session without a bar, and the first one with a bar again."""
LIVES = {"NEW": (TODAY - 3, 440), "NEWEST": (TODAY, 440), "LATER": (TODAY + 1, 440), "GONE": (0, TODAY - 100)}
NO_ACTIONS = pd.DataFrame({"date": SESSIONS[:0], "instrument": pd.Series(dtype="str"), "kind": [], "value": []})
NAMES = sorted([*(f"I{number}" for number in range(6)), *SUSPENDED, *LIVES])


def suspended_bars():
    """Instruments suspended at the edges of windows, new ones and one that is gone; the history goes on after today."""
    random = np.random.default_rng(23)
    parts = []
    for number, name in enumerate(NAMES):
        first, last = LIVES.get(name, (0, len(SESSIONS)))
        days = SESSIONS[first:last]
        close = 40 * np.exp(np.cumsum(random.normal(0, 0.02, len(days))))
        opening = close * np.exp(random.normal(0, 0.01, len(days)))
        table = pd.DataFrame({"date": days, "instrument": name, "open": opening, "close": close})
        table = table.assign(high=np.maximum(close, opening) * 1.004, low=np.minimum(close, opening) * 0.995)
        volume = np.round(np.exp(random.normal(10, 0.6, len(days))))
        volume[random.random(len(days)) < 0.01] = np.nan
        vwap = (table["high"] + table["low"] + close) / 3
        table = table.assign(volume=volume, vwap=vwap, factor=1.5, sector=float(number % 2))
        out, back = SUSPENDED.get(name, (0, 0))
        parts.append(table[~table["date"].isin(SESSIONS[out:back])])
    return pd.concat(parts, ignore_index=True)


def traded_today(bars):
    return bars.loc[bars["date"] == SESSIONS[TODAY], "instrument"].tolist()


def same_bits(left, right):
    return np.array_equal(left.to_numpy().view("int32"), right.to_numpy().view("int32"))
