"""Factors from kept machine code: without numba, and never fed with other arrays."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import FactorError, MachineCodeError
from quant_pipeline.factors import alpha158
from quant_pipeline.factors.engine import compile_factors
from quant_pipeline.factors.grid import lay_out
from quant_pipeline.factors.plan_file import save_plan
from quant_pipeline.factors.streaming import FactorStream


def test_a_list_for_a_tuple_is_an_error():
    plan = compile_factors({"f": "Mean($close, 5)"})
    plan.program.tables = list(plan.program.tables)
    sessions = pd.bdate_range("2024-01-01", periods=3)
    bars = pd.DataFrame({"date": sessions, "instrument": "A", "close": [1.0, 2.0, 3.0]})
    with pytest.raises(MachineCodeError, match="argument 2 of run_stage must be a tuple of 6"):
        plan.panel(bars, sessions, None, None)


def test_an_output_of_another_shape_or_type_is_refused():
    sessions = pd.bdate_range("2024-01-01", periods=3)
    bars = pd.DataFrame({"date": sessions, "instrument": "A", "close": [1.0, 2.0, 3.0]})
    plan = compile_factors({"f": "Mean($close, 2)"})
    grid = lay_out(bars, sessions, plan.program.fields)
    with pytest.raises(FactorError, match=r"out must have the shape \(1, 3\), not \(1, 2\)"):
        plan.evaluate(grid, out=np.empty((1, 2), np.float32))
    with pytest.raises(MachineCodeError, match="argument 7 of run_stage must be a writable array of float32"):
        plan.evaluate(grid, out=np.empty((1, 3)))


NEWEST = """
import sys
from pathlib import Path
import pandas as pd
from quant_pipeline.factors.plan_file import load_plan
from quant_pipeline.factors.streaming import FactorStream
folder = Path(sys.argv[1])
bars = pd.read_parquet(folder / "newest.parquet")
plan = load_plan(folder / "plan.npz")
stream = FactorStream.load(plan, folder / "state.npz")
stream.update(bars["date"].iloc[0], bars).to_parquet(folder / "newest_panel.parquet")
bars = pd.read_parquet(folder / "bars.parquet")
plan.panel(bars, pd.DatetimeIndex(bars["date"].unique()), None, None).to_parquet(folder / "panel.parquet")
import quant_pipeline.factors.program_runner
assert "numba" not in sys.modules, "numba was imported"
assert "scipy" not in sys.modules, "scipy was imported"
"""


def test_a_process_with_kept_code_computes_alpha158_without_importing_numba(tmp_path):
    sessions = pd.bdate_range("2024-01-01", periods=90)
    random = np.random.default_rng(3)
    close = 30 * np.exp(np.cumsum(random.normal(0, 0.02, (4, 90)), axis=1))
    columns = {name: (close * random.uniform(0.98, 1.02, close.shape)).ravel() for name in ("open", "high", "low")}
    names = np.repeat(["A", "B", "C", "D"], 90)
    bars = pd.DataFrame({"date": np.tile(sessions, 4), "instrument": names, **columns, "close": close.ravel()})
    bars = bars.assign(vwap=bars["close"], volume=random.uniform(1e5, 2e5, len(bars)))
    plan = compile_factors(alpha158.EXPRESSIONS)
    batch = plan.panel(bars, sessions, None, None)  # Compiles where no process of this machine has yet.
    stream, by_day = FactorStream(plan), dict(tuple(bars.groupby("date")))
    for session in sessions[:-1]:
        stream.update(session, by_day[session])
    save_plan(plan, tmp_path / "plan.npz")
    stream.save(tmp_path / "state.npz")
    by_day[sessions[-1]].to_parquet(tmp_path / "newest.parquet")
    bars.to_parquet(tmp_path / "bars.parquet")
    subprocess.run([sys.executable, "-c", NEWEST, str(tmp_path)], check=True)
    newest = pd.read_parquet(tmp_path / "newest_panel.parquet")
    assert np.array_equal(newest.to_numpy().view(np.int32), batch.tail(4).to_numpy().view(np.int32))
    assert newest.index.equals(batch.tail(4).index)
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "panel.parquet"), batch, check_exact=True, check_freq=False
    )
