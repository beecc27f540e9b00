"""Seconds of the clock that every stage takes with one core and with two, and their ratio.

Each measurement is a process of its own, see `second_core_child.py`, that may run on one core or on two from its start,
reads the same inputs from a folder and has compiled before it measures. The two take turns, and the shortest time of
each counts, as other programs may use the machine. The last line is one JSON object.
``python benchmarks/second_core.py --names 500 --years 8 --pairs 3 --only parsing panel``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from second_core_child import STAGES

GOAL = 1.7
CORES = (1, 2)
REPEATS = 3
"""Of the work of a process, whose preparation takes longer than most of it."""


def run_child(cores: int, *arguments: str) -> dict[str, Any]:
    """Run a process on some cores and return the JSON object of its last line."""
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    command = [sys.executable, str(Path(__file__).with_name("second_core_child.py")), "--cores", str(cores), *arguments]
    # Before its first import: libraries look once how many cores there are.
    child = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: os.sched_setaffinity(0, allowed)
    )
    found: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return found


def measure(stage: str, folder: Path, pairs: int) -> dict[str, Any]:
    """Measure one stage with one core and with two, in turn."""
    runs: dict[int, list[dict[str, Any]]] = {cores: [] for cores in CORES}
    for _ in range(pairs):
        for cores in CORES:
            runs[cores].append(run_child(cores, stage, "--folder", str(folder), "--repeats", str(REPEATS)))
    digests = {run["digest"] for found in runs.values() for run in found}
    if len(digests) != 1:
        sys.exit(f"{stage}: the results with one core and with two are not the same bits")
    one, two = (min(run["seconds"] for run in runs[cores]) for cores in CORES)
    spent = {cores: min(run["processor_seconds"] for run in runs[cores]) for cores in CORES}
    return {
        "one_core": round(one, 3),
        "two_cores": round(two, 3),
        "ratio": round(one / two, 2),
        "processor_one_core": round(spent[1], 3),
        "processor_two_cores": round(spent[2], 3),
    }


def main() -> None:
    """Print a table, and one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=500)
    parser.add_argument("--years", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=3, help="measurements with one core and with two, in turn")
    parser.add_argument("--only", nargs="+", choices=list(STAGES), default=list(STAGES), help="stages to measure")
    parser.add_argument("--folder", type=Path, help="keep the inputs there, and take them from there")
    given = parser.parse_args()
    if len(os.sched_getaffinity(0)) < max(CORES):
        sys.exit("this machine has one core: there is nothing to compare")
    with tempfile.TemporaryDirectory() as own:
        folder = given.folder or Path(own)
        run_child(2, "inputs", "--folder", str(folder), "--names", str(given.names), "--years", str(given.years))
        print("| stage | one core, s | two cores, s | ratio |\n| --- | --- | --- | --- |")
        found = {}
        for stage in given.only:
            found[stage] = measure(stage, folder, given.pairs)
            cells = found[stage]
            line = f"| {STAGES[stage][0]} | {cells['one_core']:.2f} | {cells['two_cores']:.2f} | {cells['ratio']:.2f} |"
            print(line, flush=True)
    below = [stage for stage, cells in found.items() if cells["ratio"] < GOAL]
    size = {"names": given.names, "years": given.years, "pairs": given.pairs}
    print(json.dumps({**size, "below_goal": below, "load_average": round(os.getloadavg()[0], 2), "stages": found}))


if __name__ == "__main__":
    main()
