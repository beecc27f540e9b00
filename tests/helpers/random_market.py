"""A small market with everything that goes wrong: listings, halts, splits, dividends, delistings, missing scores."""

import numpy as np
import pandas as pd


def random_market(seed: int, n_sessions: int = 300, n_instruments: int = 24):
    """Return bars, corporate actions, sessions and scores."""
    rng = np.random.default_rng(seed)
    sessions = pd.bdate_range("2020-01-01", periods=n_sessions)
    bars, actions = [], []
    for number in range(n_instruments):
        name = f"I{number:02d}"
        first = 0 if number % 3 else int(rng.integers(0, n_sessions // 3))
        last = n_sessions - 1 if number % 4 else int(rng.integers(n_sessions // 2, n_sessions - 1))
        close = float(rng.uniform(5, 200))
        for t in range(first, last + 1):
            kind = rng.choice(["none", "split", "cash_dividend"], p=[0.985, 0.005, 0.01])
            if kind == "split" and t > first:
                ratio = float(rng.choice([2.0, 1.5, 0.1, 0.333333]))
                actions.append((sessions[t], name, "split", ratio))
                close /= ratio
            elif kind == "cash_dividend" and t > first:
                actions.append((sessions[t], name, "cash_dividend", round(float(rng.uniform(0.01, 0.3)), 4)))
            open_ = close * np.exp(rng.normal(0, 0.01))
            close = open_ * np.exp(rng.normal(0, 0.02))
            if t > first and t < last and rng.random() < 0.03:
                continue
            high, low = max(open_, close) * 1.01, min(open_, close) * 0.99
            prices = [round(float(price), 2) for price in (open_, high, low, close)]
            bars.append((sessions[t], name, *prices, float(rng.integers(100, 100_000))))
        if last < n_sessions - 1:
            actions.append((sessions[last + 1], name, "delisting", float(rng.choice([0.0, round(close * 0.9, 2)]))))
    columns = ["date", "instrument", "open", "high", "low", "close", "volume"]
    table = pd.DataFrame(bars, columns=columns).sort_values(["instrument", "date"], ignore_index=True)
    action_table = pd.DataFrame(actions, columns=["date", "instrument", "kind", "value"])
    return table, action_table, sessions, random_scores(rng, table, sessions)


def random_scores(rng: np.random.Generator, bars: pd.DataFrame, sessions: pd.DatetimeIndex) -> pd.Series:
    """Scores with ties, gaps, infinities and whole sessions without any."""
    index = pd.MultiIndex.from_product(
        [sessions, np.sort(bars["instrument"].unique())], names=["datetime", "instrument"]
    )
    values = np.round(rng.normal(size=len(index)), 1)
    values[rng.random(len(index)) < 0.1] = np.nan
    values[rng.random(len(index)) < 0.01] = np.inf
    scores = pd.Series(values, index=index, name="score")
    scores.loc[sessions[20:22]] = np.nan
    return scores
