"""Processor seconds of `kedro run --pipelines daily` on a folder of one CSV file per name, and of reading that folder.

The market is the embedded one, written as CSV. A copy of the project runs the whole path on it once, with a ridge and a
LightGBM that learn from two years. Then the day is run again, with nothing new, and on a session that was added to
every file. At last the market gets more names, which the stored models score too: what each thousand of them costs a
day with nothing new. An account decides the session before again from its second session on, so that this is compared
with a run of the same account right before. ``python benchmarks/daily.py --names 500 --years 21 --more 1000``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cli import arguments, copy_project, place

END = "2024-12-30"
PARAMETERS = """split:
  train: ["2021-01-04", "2022-12-30"]
  valid: ["2023-01-03", "2023-12-29"]
  test: ["2024-01-02", null]
models:
  gru_alpha158: {enabled: false}
  lightgbm_alpha158: {hyper: {rounds: 40}}
ensemble:
  default: without_network
  combinations: {all_equal: {enabled: false}, all_icir: {enabled: false}}
"""
READ = """
import sys, time
from pathlib import Path
from quant_pipeline.market.sources.files import FilesMarketParameters
from quant_pipeline.market.sources.files.observation import observe
began = time.process_time()
seen = observe(Path(sys.argv[1]), FilesMarketParameters(calendar="XNYS"), Path(sys.argv[2]))
print(*{problem.file for problem in seen.problems})
print(time.process_time() - began)
"""


def write_market(folder: Path, n_names: int, years: int, seed: int = 7, prefix: str = "") -> list[tuple[Path, str]]:
    """Write a file per name without its last session; return the line of that session, by file."""
    from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market

    size = SimulatedMarketParameters(start=f"{2025 - years}-01-02", end=END, n_instruments=n_names, seed=seed)
    market = generate_market(size)
    keys = ["date", "instrument"]
    table = market.bars
    for kind, column, none in (("split", "split", 1.0), ("cash_dividend", "dividend", 0.0)):
        own = market.corporate_actions["kind"] == kind
        actions = market.corporate_actions.loc[own, [*keys, "value"]].rename(columns={"value": column})
        table = table.merge(actions, on=keys, how="left").fillna({column: none})
    folder.mkdir(parents=True, exist_ok=True)
    left = []
    for instrument, rows in table.groupby("instrument", sort=True):
        lines = rows.drop(columns="instrument").to_csv(index=False).splitlines(keepends=True)
        goes_on = rows["date"].iloc[-1] == market.sessions[-1]
        file = folder / f"{prefix}{instrument}.csv"
        file.write_text("".join(lines[:-1] if goes_on else lines))
        if goes_on:
            left.append((file, lines[-1]))
    return left


def run_seconds(project: Path, *words: str) -> float:
    """Return user and system seconds of a run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(arguments(("kedro", "run", *words)), **place(project) | {"stderr": subprocess.PIPE})
    if done.returncode != 0:
        sys.exit(f"kedro run {' '.join(words)} failed:\n{done.stderr.decode()[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def read_seconds(project: Path, market: Path, cache: Path) -> float:
    """Return processor seconds of reading the folder through a cache; a file that would refuse the market is removed.

    Of thousands of random walks some move on the day of a split by as much as it.
    """
    settings = place(project) | {"stdout": subprocess.PIPE}
    done = subprocess.run([sys.executable, "-c", READ, str(market), str(cache)], **settings, check=True, text=True)
    refused, seconds = done.stdout.splitlines()[-2:]
    for name in refused.split():
        (market / name).unlink()
    return float(seconds)


def measure(n_names: int, years: int, folder: Path, more: int) -> dict[str, Any]:
    """Measure on a market of a size, and what more names cost."""
    project, market = folder / "project", folder / "market"
    project.mkdir()
    copy_project(project)
    for state in ("data", "mlruns", "mlflow.db"):
        subprocess.run(["rm", "-rf", str(project / state)], check=True)
    (project / "conf" / "local").mkdir(exist_ok=True)
    (project / "conf" / "local" / "parameters_bench.yml").write_text(PARAMETERS)
    left = write_market(market, n_names, years)
    found: dict[str, Any] = {"names": n_names, "years": years}
    found["parse_seconds"] = read_seconds(project, market, folder / "cache")
    found["read_cached_seconds"] = read_seconds(project, market, folder / "cache")
    words = ("--env", "files", "--params", f"market_folder={market}")
    found["first_run_seconds"] = run_seconds(project, *words)
    found["daily_seconds"] = run_seconds(project, "--pipelines", "daily", *words)
    for file, line in left:
        if not file.exists():
            continue
        with file.open("a") as lines:
            lines.write(line)
    found["read_appended_seconds"] = read_seconds(project, market, folder / "cache")
    found["daily_appended_seconds"] = run_seconds(project, "--pipelines", "daily", *words)
    if more:
        found["daily_second_session_seconds"] = run_seconds(project, "--pipelines", "daily", *words)
        for file, line in write_market(market, more, years, seed=8, prefix="X"):
            with file.open("a") as lines:
                lines.write(line)
        read_seconds(project, market, folder / "cache")
        run_seconds(project, "--pipelines", "daily", *words)
        found["more_names"] = more
        found["daily_more_seconds"] = run_seconds(project, "--pipelines", "daily", *words)
        grown = found["daily_more_seconds"] - found["daily_second_session_seconds"]
        found["seconds_per_thousand_names"] = grown / more * 1000
    return {name: round(value, 2) for name, value in found.items()}


def main() -> None:
    """Measure, and print a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=500)
    parser.add_argument("--years", type=int, default=21)
    parser.add_argument("--more", type=int, default=1000, help="names that are added at last; 0 adds none")
    parser.add_argument("--folder", type=Path, help="keep everything there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(given.names, given.years, given.folder or Path(folder), given.more)))


if __name__ == "__main__":
    main()
