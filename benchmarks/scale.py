"""Processor seconds and peak memory of the research path on simulated markets of growing size, and Qlib's beside it.

Every size is a process of its own, see `scale_path.py`: a market, adjusted bars, Alpha158, two models with their scores
out of sample, a backtest, a search of 4,095 combinations, and the report. Then Qlib goes the same way on 500 names, see
`scale_qlib.py`, and the daily run is measured on 500 CSV files, see `daily.py`. The last line is one JSON object.
The default run takes about a quarter of an hour of processor time, up to 7 GB of memory and 5 GB of disk;
``--names 250 500 --without daily`` two minutes and 2 GB. 8,000 names of 25 years need 15 GB of memory, 40 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from quant_pipeline.common.openmp import let_waiting_threads_sleep

STAGES = (
    "market",
    "adjust",
    "universe",
    "compute",
    "save",
    "labels",
    "load",
    "lightgbm",
    "predict",
    "ridge",
    "predict_ridge",
    "backtest",
    "search",
    "report",
)
COMPARED = ("compute", "save", "labels", "load", "lightgbm", "predict", "backtest")
"""Stages that do what Qlib's workflow does: from bars on disk to a backtest of one model."""
COMPARED_NAMES = 500


def summarise(sizes: list[dict[str, Any]], qlib: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the figures that goals are set for.

    Parameters
    ----------
    sizes
        What `scale_path.py` prints of every size.
    qlib
        What `scale_qlib.py` prints of the market of `COMPARED_NAMES`; None without it.
    """
    largest = max(sizes, key=lambda size: size["rows"])
    stages = largest["stages"]
    seconds = [sum(stage["seconds"] for stage in size["stages"].values()) for size in sizes]
    rows = [size["rows"] for size in sizes]
    exponent = float(np.polyfit(np.log(rows), np.log(seconds), 1)[0]) if len(set(rows)) > 1 else None
    rise = max(stages[stage]["rise_mb"] for stage in ("load", "lightgbm", "ridge", "predict", "predict_ridge"))
    return {
        **_against_qlib(sizes, qlib),
        "save_over_compute": round(stages["save"]["seconds"] / stages["compute"]["seconds"], 2),
        "load_over_compute": round(stages["load"]["seconds"] / stages["compute"]["seconds"], 2),
        "peak_bytes_per_panel_byte": round(rise / largest["panel_mb"], 2),
        "growth_exponent": None if exponent is None else round(exponent, 3),
        "daily_seconds_500": None,
        "largest_names": largest["names"],
        "largest_peak_mb": max(stage["peak_mb"] for stage in stages.values()),
        "sizes": sizes,
        "qlib": qlib,
    }


def markdown(sizes: list[dict[str, Any]]) -> str:
    """Return the table of growth, as docs/results.md has it: seconds and peak in MB of each stage."""
    head = ["stage", *(f"{size['names']:,} names" for size in sizes)]
    lines = [head, ["---"] * len(head), ["rows", *(f"{size['rows']:,}" for size in sizes)]]
    lines.append(["panel on disk, MB", *(f"{size['panel_mb']:,}" for size in sizes)])
    for stage in STAGES:
        cells = (size["stages"][stage] for size in sizes)
        lines.append([f"`{stage}`", *(f"{cell['seconds']:.1f} s, {cell['peak_mb']:,.0f} MB" for cell in cells)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _against_qlib(sizes: list[dict[str, Any]], qlib: dict[str, Any] | None) -> dict[str, float | None]:
    """Divide Qlib's seconds by ours on the same market; None where either was not measured."""
    ours = next((size["stages"] for size in sizes if size["names"] == COMPARED_NAMES), None)
    if qlib is None or ours is None:
        return {"end_to_end_vs_qlib": None, "without_fit_vs_qlib": None}
    spent, theirs = {stage: ours[stage]["seconds"] for stage in COMPARED}, qlib["stages"]
    fits = theirs["fit"], spent["lightgbm"]
    whole = sum(theirs.values()), sum(spent.values())
    return {
        "end_to_end_vs_qlib": round(whole[0] / whole[1], 2),
        "without_fit_vs_qlib": round((whole[0] - fits[0]) / (whole[1] - fits[1]), 2),
    }


def not_measured(names: list[int], without: list[str], has_qlib: bool) -> dict[str, str]:
    """Say what is not measured, and which figures are therefore null.

    Parameters
    ----------
    names, without
        What the command line says.
    has_qlib
        Whether Qlib is installed.

    Returns
    -------
    dict of str
        By ``qlib``, ``growth`` and ``daily``, the reason; empty when everything is measured.
    """
    reasons = {}
    if "qlib" in without:
        reasons["qlib"] = "--without qlib"
    elif COMPARED_NAMES not in names:
        reasons["qlib"] = f"{COMPARED_NAMES} is not among --names"
    elif not has_qlib:
        reasons["qlib"] = "pyqlib is not installed in this environment"
    if len(set(names)) < 2:
        reasons["growth"] = "--names has one size"
    if "daily" in without:
        reasons["daily"] = "--without daily"
    null = {
        "qlib": "end_to_end_vs_qlib and without_fit_vs_qlib are",
        "growth": "growth_exponent is",
        "daily": "daily_seconds_500 is",
    }
    return {what: f"{null[what]} null: {why}" for what, why in reasons.items()}


def run_script(script: str, *arguments: str) -> dict[str, Any]:
    """Run a script of this folder and return the JSON object of its last line."""
    command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
    calm = dict(os.environ)
    let_waiting_threads_sleep(calm)  # As commands do; else waiting would count as computing.
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=calm).stdout
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found


def main() -> None:
    """Print one table, and one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, nargs="+", default=[250, 500, 1000, 2000])
    parser.add_argument("--years", type=int, default=12)
    parser.add_argument("--without", nargs="+", choices=("qlib", "daily"), default=[], help="what to leave out")
    given = parser.parse_args()
    print(f"{'names':>6} {'rows':>9} " + " ".join(f"{stage:>14}" for stage in STAGES) + "   (CPU s / peak MB)")
    sizes = []
    for n_names in given.names:
        size = run_script("scale_path.py", str(n_names), str(given.years))
        cells = (size["stages"][stage] for stage in STAGES)
        row = " ".join(f"{cell['seconds']:>7.1f}/{cell['peak_mb']:>6.0f}" for cell in cells)
        print(f"{size['names']:>6} {size['rows']:>9} {row}", flush=True)
        sizes.append(size)
    missing = not_measured(given.names, given.without, find_spec("qlib") is not None)
    qlib = None
    if "qlib" not in missing:
        qlib = run_script("scale_qlib.py", str(COMPARED_NAMES), str(given.years))
        print(f"Qlib, {COMPARED_NAMES} names, CPU s: {qlib['stages']}", flush=True)
    figures = summarise(sizes, qlib)
    if "daily" not in missing:
        found = run_script("daily.py", "--names", str(COMPARED_NAMES))
        figures |= {"daily_seconds_500": found["daily_seconds"], "daily": found}
    print(f"\n{markdown(sizes)}\n")
    for reason in missing.values():
        print(reason)
    print(json.dumps(figures | {"not_measured": missing}))


if __name__ == "__main__":
    main()
