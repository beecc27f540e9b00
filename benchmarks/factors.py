"""Speed of the factor engine beside Qlib and KunQuant: parity first, then interleaved times on the same bars.

``python benchmarks/factors.py`` prints a table and, as its last line, one JSON object. With a folder of real bars all
its instruments are tiled to 504; without one, random bars of the same size are taken. A wrong value ends the run
before anything is timed. Without KunQuant (``pip install -e '.[bench]'``) its figures are null.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from factor_exact import exact_value
from factor_peers import CORES, KunQuant, ask_qlib, run_child
from qlib_needed import require_qlib

from quant_pipeline.factors.engine import FactorPlan, compile_factors
from quant_pipeline.factors.feature_sets import LIBRARIES
from quant_pipeline.factors.grid import Grid, lay_out
from quant_pipeline.factors.plan_file import save_plan
from quant_pipeline.factors.streaming import FactorStream
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.qlib_provider import write_provider
from quant_pipeline.market.sources.files import FilesMarketParameters, read_market_files

ULP = float(np.finfo("float32").eps)
SUSPENDED = 0.005
PANELS = 5
"""How many are timed: the first ones take memory that the system has to empty, or that a host has taken back."""


def read_bars(folder: str | None, instruments: int) -> pd.DataFrame:
    """Read or make adjusted bars of twenty years; real ones are tiled to the number of instruments."""
    if folder:
        market = read_market_files(Path(folder), FilesMarketParameters(bars="us_daily.parquet"), as_of="2020-06-30")
        adjusted = adjust_bars(market.bars, market.corporate_actions)
    else:
        adjusted = random_bars(instruments, 5199)
    by_name = dict(tuple(adjusted.groupby("instrument")))
    names = sorted(by_name)
    tiles = [by_name[names[k % len(names)]].assign(instrument=f"T{k:03d}") for k in range(instruments)]
    return pd.concat(tiles, ignore_index=True)


def random_bars(instruments: int, sessions: int) -> pd.DataFrame:
    """Random walks with listings at random times."""
    random = np.random.default_rng(0)
    days = pd.bdate_range("1999-11-01", periods=sessions)
    parts = []
    for number in range(instruments):
        since = int(random.integers(0, sessions // 3))
        close = 50 * np.exp(np.cumsum(random.normal(0, 0.02, sessions - since)))
        opening = close * np.exp(random.normal(0, 0.01, len(close)))
        high, low = np.maximum(close, opening) * 1.003, np.minimum(close, opening) * 0.997
        table = pd.DataFrame({"date": days[since:], "instrument": f"R{number:03d}", "open": opening, "high": high})
        volume = np.round(np.exp(random.normal(13, 0.5, len(close))))
        parts.append(table.assign(low=low, close=close, vwap=(high + low + close) / 3, volume=volume, factor=1.0))
    return pd.concat(parts, ignore_index=True)


def suspend(bars: pd.DataFrame) -> pd.DataFrame:
    """Take out half a percent of the bars, but none at either end of a history."""
    inner = bars["instrument"].duplicated() & bars["instrument"].duplicated(keep="last")
    gone = inner & (np.random.default_rng(7).random(len(bars)) < SUSPENDED)
    return bars[~gone].reset_index(drop=True)


def assert_parity(ours: np.ndarray, theirs: np.ndarray, plan: FactorPlan, grid: Grid) -> tuple[float, int]:
    """Compare ``(factor, row)`` with ``(row, factor)``; return the share of equal bits and the cells where Qlib errs.

    What older values leave in pandas' running sums shows in windows that stand still or almost do. Where the two
    differ by more than rounding, ours must be what extended precision gives for the window.
    """
    equal = wrong = 0
    for number, name in enumerate(plan.program.factors):
        mine, other = ours[number], np.asarray(theirs[:, number])
        missing = np.isnan(mine)
        if not np.array_equal(missing, np.isnan(other)):
            raise SystemExit(f"{name} is missing on other rows than Qlib's; no time is worth reporting.")
        same = (mine == other) | missing
        equal += int(same.sum())
        rows = np.flatnonzero(~same)
        off = rows[~_near(mine[rows], other[rows], 1e-9)]
        right = np.array([_exact(name, row, plan, grid) for row in off])
        bad = off[~_near(mine[off], right, 1e-6)] if len(off) else off
        if len(bad):
            raise SystemExit(f"{name}: {mine[bad][:3]} is not Qlib's {other[bad][:3]}; no time is worth reporting.")
        wrong += len(off)
    return equal / ours.size, wrong


def _near(mine: np.ndarray, other: np.ndarray, absolute: float) -> np.ndarray:
    return np.abs(mine.astype(np.float64) - other) <= 4 * ULP * np.abs(other) + absolute


def _exact(name: str, row: int, plan: FactorPlan, grid: Grid) -> float:
    part = slice(int(grid.first[np.searchsorted(grid.first, row, "right") - 1]), row + 1)
    close, volume = (grid.fields[plan.program.fields.index(field), part] for field in ("close", "volume"))
    return exact_value(name, close, volume)


def timed(work: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def write_speed(megabytes: int = 1024) -> float:
    """Bytes per second that all cores together write to memory that was touched before."""
    parts = np.array_split(np.zeros(megabytes * 2**18, np.float32), CORES)
    with ThreadPoolExecutor(CORES) as pool:
        best = min(timed(lambda: list(pool.map(lambda part: part.fill(1.0), parts))) for _ in range(5))
    return sum(part.nbytes for part in parts) / best


class Bench:
    """Bars in the forms that the engines read, in a folder that goes away."""

    def __init__(self, bars: pd.DataFrame, folder: Path):
        self.folder = folder
        self.bars = bars
        self.sessions = pd.DatetimeIndex(np.sort(bars["date"].unique()))
        self.plans = {name: compile_factors(LIBRARIES[name]) for name in ("alpha158", "alpha360")}
        self.figures: dict[str, float | int | None] = {}
        self.rows: list[tuple[str, float | None, str]] = []

    def note(self, text: str, seconds: float | None, remark: str = "") -> None:
        """Keep a line of the table."""
        self.rows.append((text, seconds, remark))
        print(f"  {text}: {'-' if seconds is None else f'{seconds:.3f} s'} {remark}", flush=True)

    def against_qlib(self, library: str, bars: pd.DataFrame, key: str, label: str) -> np.ndarray:
        """Parity, then the ratio to Qlib: ours before and after it."""
        provider = self.folder / key
        write_provider(bars, self.sessions, provider)
        plan = self.plans[library]
        grid = lay_out(bars, self.sessions, plan.program.fields)
        out, _ = plan.evaluate(grid)
        before = time.process_time()
        times = [timed(lambda: plan.evaluate(grid, out=out)) for _ in range(3)]
        processor = (time.process_time() - before) / 3
        qlib, theirs = ask_qlib(provider, library, self.folder / "values.npy")
        times += [timed(lambda: plan.evaluate(grid, out=out)) for _ in range(3)]
        share, wrong = assert_parity(out, theirs, plan, grid)
        ours = float(np.median(times))
        self.figures[f"{key}_vs_qlib"] = round(qlib["seconds"] / ours, 1)
        self.note(f"{label}, Qlib", qlib["seconds"], f"peak {qlib['peak_memory_mb']:.0f} MB")
        by_processor = qlib["processor_seconds"] / processor
        self.figures[f"{key}_vs_qlib_by_processor_time"] = round(by_processor, 1)
        remark = f"{qlib['seconds'] / ours:.1f} x Qlib, by processor time {by_processor:.1f} x"
        self.note(f"{label}, this engine, warm", ours, remark)
        remark = f"{share:.6%} of {out.size / 1e6:.0f} M cells the same bits"
        self.note("  parity with Qlib", None, f"{remark}, {wrong} cells where Qlib errs")
        if key == "alpha158":
            self.figures |= {"bit_identical_share": share, "cells_where_qlib_errs": wrong}
            self.figures["qlib_seconds"], self.figures["qlib_peak_memory_mb"] = qlib["seconds"], qlib["peak_memory_mb"]
            before = time.process_time()
            panels = [timed(lambda: plan.panel(bars, self.sessions, None, None)) for _ in range(PANELS)]
            panel = float(np.median(panels))
            by_processor = qlib["processor_seconds"] / (time.process_time() - before) * PANELS
            remark = f"{qlib['seconds'] / panel:.1f} x Qlib, by processor time {by_processor:.1f} x"
            self.note("  from a table of bars to a sorted panel", panel, remark)
            self.figures["alpha158_panel_vs_qlib"] = round(qlib["seconds"] / panel, 1)
            self.figures["alpha158_panel_vs_qlib_by_processor_time"] = round(by_processor, 1)
        return out

    def against_kunquant(self, alpha158: np.ndarray) -> None:
        """Interleave with KunQuant; its matrix also has cells before listings, which do not count."""
        self.figures["alpha158_vs_kunquant"] = None
        if not KunQuant.installed():
            self.note("Alpha158, KunQuant", None, "not installed: pip install -e '.[bench]'")
            return
        plan = self.plans["alpha158"]
        grid = lay_out(self.bars, self.sessions, plan.program.fields)
        wide = {name: _as_matrix(grid, row) for name, row in zip(plan.program.fields, grid.fields, strict=True)}
        peer = KunQuant(wide)
        theirs, ours = [], []
        for _ in range(3):
            theirs.append(peer.run())
            ours.append(timed(lambda: plan.evaluate(grid, out=alpha158)))
        close = _share_close(peer, alpha158, plan, grid)
        per_row = min(theirs[1:]) * grid.fields.shape[1] / wide["close"].size
        ratio = per_row / float(np.median(ours))
        self.figures["alpha158_vs_kunquant"] = round(ratio, 1)
        remark = f"per row of ours; {close:.2%} of full windows within 1e-4"
        self.note("Alpha158, KunQuant, accurate mode, warm", per_row, remark)
        self.note("  this engine beside it", float(np.median(ours)), f"{ratio:.1f} x KunQuant")

    def fresh_processes(self) -> None:
        """First evaluation and newest session in processes of their own."""
        plan = self.plans["alpha158"]
        grid = lay_out(self.bars, self.sessions, plan.program.fields)
        kept = {"first": grid.first, "listed": grid.listed, "fields": grid.fields, "traded": grid.traded}
        np.savez(self.folder / "grid.npz", instruments=grid.instruments, sessions=grid.sessions.to_numpy(), **kept)
        runs = [run_child("factor_child.py", "first", str(self.folder), "alpha158") for _ in range(2)]
        cold = min(run["seconds"] for run in runs)
        self.figures["alpha158_cold_vs_qlib"] = round(self.figures["qlib_seconds"] / cold, 1)
        self.figures["peak_memory_mb"] = round(runs[0]["peak_memory_mb"])
        remark = f"{self.figures['alpha158_cold_vs_qlib']} x Qlib; peak {runs[0]['peak_memory_mb']:.0f} MB"
        self.note("Alpha158, this engine, cold", cold, remark)

    def newest(self, alpha158: np.ndarray) -> None:
        """Compute the newest session: Qlib's query, the stream in a living process, a whole fresh process."""
        plan = self.plans["alpha158"]
        stream, by_day = FactorStream(plan), dict(tuple(self.bars.groupby("date")))
        times = []
        for session in self.sessions[-70:-1]:
            times.append(timed(lambda day=session: stream.update(day, by_day[day])))
        stream.save(self.folder / "state.npz")
        save_plan(plan, self.folder / "plan.npz")
        last = self.sessions[-1]
        by_day[last].to_parquet(self.folder / "newest.parquet")
        panel = stream.update(last, by_day[last])
        _assert_newest(panel, alpha158, lay_out(self.bars, self.sessions, plan.program.fields))
        qlib, _ = ask_qlib(self.folder / "alpha158", "alpha158", self.folder / "values.npy", newest=True)
        process = [run_child("factor_child.py", "newest", str(self.folder)) for _ in range(2)][1]
        ours = float(np.median(times[-7:]))
        self.figures["newest_session_vs_qlib"] = round(qlib["seconds"] / ours)
        self.figures["newest_session_process_seconds"] = round(process["process_seconds"], 2)
        self.figures["newest_session_processor_seconds"] = round(process["processor_seconds"], 2)
        self.note("Newest session of Alpha158, Qlib", qlib["seconds"])
        self.note("Newest session, this engine", ours, f"{qlib['seconds'] / ours:.0f} x Qlib; the bits of the batch")
        remark = f"state and plan from files; {process['processor_seconds']:.2f} s of processor time"
        self.note("Newest session, a whole fresh process", process["process_seconds"], remark)

    def floor_and_growth(self, warm: np.ndarray) -> None:
        """Distance to the speed of memory, and memory by size."""
        speed = write_speed()
        plan = self.plans["alpha158"]
        floor = (warm.nbytes + warm.shape[1] * 4 * len(plan.program.fields)) / speed
        grid = lay_out(self.bars, self.sessions, plan.program.fields)
        ours = min(timed(lambda: plan.evaluate(grid, out=warm)) for _ in range(3))
        self.figures["times_bandwidth_floor"] = round(ours / floor, 1)
        self.note(
            "Writing the result at the speed of memory", floor, f"{speed / 1e9:.1f} GB/s; ours is {ours / floor:.1f} x"
        )
        for instruments, sessions, library in GROWTH:
            grown = run_child("factor_child.py", "grow", str(instruments), str(sessions), library)
            remark = f"peak {grown['peak_memory_mb']:.0f} MB, of it the result {grown['output_mb']:.0f} MB"
            self.note(f"{library}, {instruments} instruments x {sessions} sessions", grown["seconds"], remark)


GROWTH = [(500, 252, "alpha158"), (500, 2520, "alpha158"), (5000, 252, "alpha158"), (5000, 252, "alpha360")]


def _as_matrix(grid: Grid, values: np.ndarray) -> np.ndarray:
    """Lay a field out as ``(session, instrument)``; sessions before a listing are missing."""
    wide = np.full((len(grid.sessions), len(grid.instruments)), np.nan)
    for number, since in enumerate(grid.listed):
        part = values[grid.first[number] : grid.first[number + 1]]
        wide[since : since + len(part), number] = part
    return wide


def _share_close(peer: KunQuant, alpha158: np.ndarray, plan: FactorPlan, grid: Grid) -> float:
    """Share of cells of complete windows in which KunQuant agrees; it has none for the first sixty bars."""
    shares = []
    for number, name in enumerate(plan.program.factors):
        theirs = peer.values(name)
        if theirs is not None:
            mine, theirs = _as_matrix(grid, alpha158[number])[300:], theirs[300:]
            shares.append(np.mean(np.isclose(mine, theirs, 1e-4, 1e-5, equal_nan=True)))
    if np.mean(shares) < 0.8:
        raise SystemExit("KunQuant computes something else; no time is worth reporting.")
    return float(np.mean(shares))


def _assert_newest(panel: pd.DataFrame, alpha158: np.ndarray, grid: Grid) -> None:
    """Compare the stream with the batch: the last row of every instrument that still trades."""
    trading = grid.listed + np.diff(grid.first) == len(grid.sessions)
    batch = alpha158[:, grid.first[1:][trading] - 1].T
    if not np.array_equal(panel.to_numpy().view(np.int32), np.ascontiguousarray(batch).view(np.int32)):
        raise SystemExit("The stream is not the batch; no time is worth reporting.")


def main() -> None:
    """Print the table, and one JSON object as the last line."""
    require_qlib()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--market-folder", default=os.environ.get("QUANT_PIPELINE_MARKET_DATA"))
    parser.add_argument("--instruments", type=int, default=504, help="a multiple of eight")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bars = read_bars(arguments.market_folder, arguments.instruments)
        bench = Bench(bars, Path(folder))
        print(f"{arguments.instruments} instruments, {len(bars):,} bars, {CORES} cores, load {os.getloadavg()[0]:.1f}")
        alpha158 = bench.against_qlib("alpha158", bars, "alpha158", "Alpha158")
        bench.against_kunquant(alpha158)
        bench.fresh_processes()
        bench.newest(alpha158)
        bench.floor_and_growth(alpha158)
        del alpha158
        bench.against_qlib("alpha158", suspend(bars), "alpha158_suspended", "Alpha158, 0.5 % suspended")
        hundred = bars[bars["instrument"].isin(bars["instrument"].unique()[:96])].reset_index(drop=True)
        bench.against_qlib("alpha360", hundred, "alpha360", "Alpha360, 96 instruments")
    print("\n| | seconds | |\n|---|---|---|")
    for text, seconds, remark in bench.rows:
        print(f"| {text} | {'-' if seconds is None else f'{seconds:.3f}'} | {remark} |")
    print(json.dumps({**bench.figures, "cores": CORES, "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
