"""One fresh process of the factor engine, as `factors.py` measures it; prints one JSON object."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from quant_pipeline.factors.engine import compile_factors
from quant_pipeline.factors.grid import Grid
from quant_pipeline.factors.plan_file import load_plan
from quant_pipeline.factors.streaming import FactorStream


def first_evaluation(folder: Path, library: str) -> dict:
    """Compile the set and evaluate it once: kernels from the cache on disk, output never touched before."""
    from factor_peers import peak_megabytes

    from quant_pipeline.factors.feature_sets import LIBRARIES

    with np.load(folder / "grid.npz", allow_pickle=True) as kept:
        sessions = pd.DatetimeIndex(kept["sessions"])
        grid = Grid(kept["instruments"], sessions, kept["first"], kept["listed"], kept["fields"], kept["traded"])
    started = time.perf_counter()
    plan = compile_factors(LIBRARIES[library])
    values, _ = plan.evaluate(grid)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak_memory_mb": peak_megabytes(), "cells": values.size}


def grow(instruments: int, sessions: int, library: str) -> dict:
    """Evaluate a set on random bars of some size."""
    from factor_peers import peak_megabytes

    from quant_pipeline.factors.feature_sets import LIBRARIES

    plan = compile_factors(LIBRARIES[library])
    random = np.random.default_rng(0)
    prices = 100 * np.exp(random.normal(0, 0.02, (instruments, sessions)).cumsum(axis=1)).ravel()
    fields = np.empty((len(plan.program.fields), prices.size), np.float32)
    for row in fields:
        row[:] = prices * random.uniform(0.99, 1.01, prices.size)
    names = np.array([f"I{number:05d}" for number in range(instruments)], dtype=object)
    first = np.arange(instruments + 1) * sessions
    days = pd.bdate_range("2000-01-03", periods=sessions)
    grid = Grid(names, days, first, np.zeros(instruments, np.int64), fields, np.ones(prices.size, bool))
    started = time.perf_counter()
    values, _ = plan.evaluate(grid)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak_memory_mb": peak_megabytes(), "output_mb": values.nbytes / 2**20}


def newest_session(folder: Path) -> dict:
    """Go on from a kept plan and a kept state, as a daily command would."""
    started = time.perf_counter()
    bars = pd.read_parquet(folder / "newest.parquet")
    stream = FactorStream.load(load_plan(folder / "plan.npz"), folder / "state.npz")
    panel = stream.update(bars["date"].iloc[0], bars)
    panel.to_parquet(folder / "panel.parquet")
    return {"seconds": time.perf_counter() - started, "qlib_imported": "qlib" in sys.modules}


def measure(mode: str, *arguments: str) -> dict:
    """Run what is asked for, and add the processor time of this process since its start."""
    if mode == "first":
        figures = first_evaluation(Path(arguments[0]), arguments[1])
    elif mode == "grow":
        figures = grow(int(arguments[0]), int(arguments[1]), arguments[2])
    else:
        figures = newest_session(Path(arguments[0]))
    return {**figures, "processor_seconds": time.process_time()}


if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:])))
