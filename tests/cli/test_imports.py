"""Which libraries a command may import: seconds are measured by `make bench-cli`, this holds what they come from."""

import subprocess
import sys

import pytest
import yaml

from quant_pipeline.testing.small_project import SMALL_MARKET
from tests.helpers.project import copy_project, environment, small_project

HEAVY = {
    *(
        "alpaca",
        "arch",
        "dask",
        "distributed",
        "exchange_calendars",
        "fastapi",
        "git",
        "kedro_mlflow",
        "lightgbm",
        "mlflow",
        "numba",
    ),
    *("optuna", "pandera", "plotly", "qlib", "requests", "scipy", "sklearn", "statsmodels", "torch"),
}
TABLES = {"pandas", "pyarrow", "sqlalchemy"}
OF_KEDRO = {"dynaconf", "kedro.framework.cli", "kedro.framework.context", "kedro.framework.session", "kedro.pipeline"}
OF_MARKETS = {"kedro_datasets.pandas", "quant_pipeline.exchange.rules"}
KEDRO, CONSOLE_SCRIPT = "kedro.framework.cli", "quant_pipeline.__main__"

COMMANDS = {
    "--help": (KEDRO, "--help", HEAVY | TABLES),
    "registry list": (KEDRO, "registry list", HEAVY | TABLES),
    "account --help": (KEDRO, "account --help", HEAVY | TABLES),
    "account show": (KEDRO, "account show", HEAVY),
    "models list": (KEDRO, "models list", HEAVY),
    "models plan": (KEDRO, "models plan", HEAVY),
    "quant-pipeline account show": (CONSOLE_SCRIPT, "account show", HEAVY | OF_KEDRO | OF_MARKETS),
}
RUN = """
import sys
from {module} import main
sys.argv = ["kedro", *{words!r}.split()]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print("imported:", *sys.modules)
"""


@pytest.mark.parametrize(("module", "words", "forbidden"), COMMANDS.values(), ids=COMMANDS)
def test_command_imports_nothing_that_it_does_not_need(project_path, tmp_path, module, words, forbidden):
    copy_project(project_path, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(module=module, words=words)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.rpartition("imported:")[2].split())
    assert forbidden & imported == set()


OF_INGESTION = {"exchange_calendars", "numba", "plotly", "scipy"}
UNTIL_FIRST_NODE = """
import sys
from quant_pipeline.testing.first_node import run_until_first_node
words = ["kedro", "run", "--pipelines", "ingestion"]
run_until_first_node(words, lambda: print("imported:", *sys.modules, flush=True))
"""


def test_a_run_imports_nothing_of_other_stages_before_its_first_node(project_path, tmp_path):
    copy_project(project_path, tmp_path)
    done = subprocess.run([sys.executable, "-c", UNTIL_FIRST_NODE], cwd=tmp_path, capture_output=True, text=True)
    _, was_reached, imported = done.stdout.rpartition("imported:")
    assert was_reached, done.stdout + done.stderr
    assert (HEAVY - OF_INGESTION) & set(imported.split()) == set()


SIMULATED_DAY = """
import sys
from kedro.framework.cli import main
for words in ("run --pipelines ingestion,post_trade", "run --pipelines execution"):
    sys.argv = ["kedro", *words.split()]
    try:
        main()
    except SystemExit as ended:
        assert ended.code in (None, 0, 5), ended.code  # 5: no plan was recorded.
from kedro.framework.project import pipelines
assert all(pipeline.nodes for pipeline in pipelines.values())
print("imported:", *sys.modules)
"""


@pytest.mark.slow  # A whole day; tests/live looks at what the process of an account imports.
def test_a_simulated_account_imports_nothing_of_a_broker_outside(project_path, tmp_path):
    place = small_project(project_path, tmp_path, None).path
    catalog = place / "conf/sim/catalog.yml"
    entries = yaml.safe_load(catalog.read_text())
    entries["market_source"]["parameters"] = SMALL_MARKET | {"n_instruments": 4, "start": "2024-01-02"}
    catalog.write_text(yaml.safe_dump(entries))
    done = subprocess.run(
        [sys.executable, "-c", SIMULATED_DAY],
        cwd=place,
        env=environment(place / "src"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    imported = set(done.stdout.rpartition("imported:")[2].split())
    assert "quant_pipeline.trading.brokers.simulated.broker" in imported
    assert {name for name in imported if "alpaca" in name} == set()
    assert {name for name in imported if name.startswith("kedro_telemetry.")} == set()
