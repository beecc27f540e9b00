"""Time and peak memory of every stage, on the simulated market and, when a folder is given, on a real one.

Every stage is a fresh process, so the figures contain start-up. The whole path comes first and is run again at the end,
when everything is there. Run ``python benchmarks/stages.py --help``.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

WHOLE_PATH, AGAIN = "whole path", "whole path again"
STAGES = (
    WHOLE_PATH,
    "ingestion",
    "features",
    "training",
    "ensemble",
    "prediction",
    "backtest",
    "post_trade",
    "order_generation",
    "reporting",
    "daily",
    AGAIN,
)
KEDRO = str(Path(sys.executable).parent / "kedro")
PROJECT = Path(__file__).resolve().parents[1]


def measure(command: list[str]) -> dict[str, float]:
    """Run a command and return its seconds by the clock and of the processor, and its peak memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status != 0:
        sys.exit(f"{' '.join(command)} failed:\n{errors.decode()[-2000:]}")
    spent = usage.ru_utime + usage.ru_stime
    return {
        "seconds": round(seconds, 1),
        "processor_seconds": round(spent, 1),
        "peak_memory_mb": round(usage.ru_maxrss / 1024),
    }


def main() -> None:
    """Print one table, and one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--market-folder", default=os.environ.get("QUANT_PIPELINE_MARKET_DATA"), help="folder with real bars"
    )
    arguments = parser.parse_args()
    environments = {"sim": []}
    if arguments.market_folder:
        environments["files"] = ["--params", f"market_folder={Path(arguments.market_folder).resolve()}"]
    figures = {}
    print(f"{'environment':<12} {'stage':<18} {'seconds':>8} {'CPU s':>8} {'peak MB':>8}")
    for environment, options in environments.items():
        for stage in STAGES:
            words = [] if stage in (WHOLE_PATH, AGAIN) else ["--pipelines", stage]
            found = measure([KEDRO, "run", "--env", environment, *words, *options])
            figures[f"{environment}.{stage}"] = found
            numbers = f"{found['seconds']:8.1f} {found['processor_seconds']:8.1f} {found['peak_memory_mb']:8}"
            print(f"{environment:<12} {stage:<18} {numbers}", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
