"""From the last bar of a session to the scores of 500 instruments, by Alpha158 and LightGBM.

Run ``python benchmarks/live.py --help``. The last line is a JSON object; times are in milliseconds.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from quant_pipeline.factors.alpha158 import EXPRESSIONS
from quant_pipeline.factors.engine import compute_factors
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.models.bundle import BundleFacts
from quant_pipeline.models.inference import InferenceEngine
from quant_pipeline.models.live_scores import LiveScorer
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.models.store import BundleStore
from quant_pipeline.models.training import train_bundle

GOAL = 100.0
LABEL = "Ref($close,-2)/Ref($close,-1)-1"
COLUMNS = {"date": "datetime64[ns]", "instrument": "str", "kind": "str", "value": "float64"}
NO_ACTIONS = pd.DataFrame({name: pd.array([], kind) for name, kind in COLUMNS.items()})


def walk(sessions: pd.DatetimeIndex, instruments: int) -> pd.DataFrame:
    """Return bars of random walks with a little momentum, so that a model finds something to learn."""
    random, shape = np.random.default_rng(20), (instruments, len(sessions))
    noise = random.normal(scale=0.02, size=shape)
    moves = noise + 0.1 * np.roll(noise, 1, axis=1)
    close = 50.0 * np.exp(np.cumsum(moves, axis=1))
    opens = close * np.exp(random.normal(scale=0.005, size=shape))
    spread = np.exp(np.abs(random.normal(scale=0.01, size=shape)))
    names = [f"N{number:05d}" for number in range(instruments)]
    return pd.DataFrame(
        {
            "date": np.tile(sessions.to_numpy(), instruments),
            "instrument": pd.array(np.repeat(names, len(sessions)), dtype="str"),
            "open": opens.ravel(),
            "high": (np.maximum(opens, close) * spread).ravel(),
            "low": (np.minimum(opens, close) / spread).ravel(),
            "close": close.ravel(),
            "volume": random.lognormal(14, 0.5, size=shape).ravel(),
        }
    )


def train(store: BundleStore, adjusted: pd.DataFrame, sessions: pd.DatetimeIndex) -> None:
    """Train LightGBM with the hyper-parameters of the project, and make it champion."""
    features = compute_factors(adjusted, EXPRESSIONS, sessions)
    labels = compute_factors(adjusted, {"label": LABEL}, sessions, allow_future=True)["label"]
    members = features.index.to_frame(index=False).rename(columns={"datetime": "date"})
    segments = {"train": sessions[60:220], "valid": sessions[222:260]}
    window = {name: [f"{days[0]:%Y-%m-%d}", f"{days[-1]:%Y-%m-%d}"] for name, days in segments.items()}
    spec = ModelSpec.model_validate({"algorithm": "lightgbm", "features": "alpha158"})
    facts = BundleFacts(spec, dict(EXPRESSIONS), LABEL, window, calendar="XNYS")
    store.add(train_bundle(facts, features, labels, members, segments), promote=True)


def measure(scorer: LiveScorer, today: pd.DataFrame, session: pd.Timestamp, looks: int) -> np.ndarray:
    """Return milliseconds of each look, by the clock and of the processor.

    The first one, which reads machine code, is left out.
    """
    random, times = np.random.default_rng(21), []
    for _ in range(looks + 1):
        bars = today.assign(close=today["open"] * np.exp(random.normal(scale=0.01, size=len(today))))
        bars["high"], bars["low"] = bars[["high", "close"]].max(axis=1), bars[["low", "close"]].min(axis=1)
        began = time.perf_counter(), time.process_time()
        scores = scorer.score(session, bars)
        ended = time.perf_counter(), time.process_time()
        times.append([1000 * (after - before) for before, after in zip(began, ended, strict=True)])
        assert len(scores.score) == len(today)
    return np.array(times[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instruments", type=int, default=500)
    parser.add_argument("--looks", type=int, default=200)
    given = parser.parse_args()
    sessions = TradingCalendar.of("XNYS", "2024-01-02", "2025-04-30").sessions[:270]
    sessions = pd.DatetimeIndex(sessions)
    bars = walk(sessions, given.instruments)
    adjusted, session = adjust_bars(bars, NO_ACTIONS), sessions[-1]
    with tempfile.TemporaryDirectory(prefix="bench-live-") as folder:
        store = BundleStore(Path(folder))
        before, history = (bars["date"] < session).to_numpy(), sessions[:-1]
        train(store, adjusted[before], history)
        engine = InferenceEngine(store)
        scorer = LiveScorer(engine, bars[before], adjusted[before], history, NO_ACTIONS)
        times = measure(scorer, bars[~before].drop(columns="date"), session, given.looks)
        last = scorer.score(session, bars[~before].drop(columns="date"))
        batch = engine.score(adjusted, sessions)
    report = {
        "instruments": given.instruments,
        "looks": given.looks,
        "milliseconds_p50": round(float(np.quantile(times[:, 0], 0.5)), 1),
        "milliseconds_p95": round(float(np.quantile(times[:, 0], 0.95)), 1),
        "processor_milliseconds_p95": round(float(np.quantile(times[:, 1], 0.95)), 1),
        "goal": GOAL,
        "equal_to_the_batch": bool(last.score.equals(batch.score)),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
