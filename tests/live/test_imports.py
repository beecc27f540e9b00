"""The live process owns time and waking: kernels, networks and trackers belong to the commands that it starts."""

import subprocess
import sys

HEAVY = {
    "apprise",
    "lightgbm",
    "mlflow",
    "kedro_mlflow",
    "numba",
    "optuna",
    "plotly",
    "qlib",
    "scipy",
    "sklearn",
    "torch",
    "alpaca",
}
PROGRAM = """
import sys
import quant_pipeline.cli.live
import quant_pipeline.cli.opened_account, quant_pipeline.live.opening, quant_pipeline.live.process
import quant_pipeline.live.status, quant_pipeline.trading.brokers.registry
from quant_pipeline.market.calendar import TradingCalendar
TradingCalendar.of("XNYS", "2025-01-02", "2025-01-03").sessions
print(*sys.modules)
"""


def test_the_live_process_imports_neither_kernels_nor_networks():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) == set()
