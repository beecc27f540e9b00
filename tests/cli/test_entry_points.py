"""Every way to start the project from a shell finds its own `run`, whoever imports what first."""

import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = [
    [sys.executable, "-m", "quant_pipeline"],
    [str(Path(sys.executable).with_name("quant-pipeline"))],
    [str(Path(sys.executable).with_name("kedro")), "run"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=["module", "console script", "kedro"])
def test_run_is_a_command(project_path, command):
    done = subprocess.run([*command, "--params", "as_of"], cwd=project_path, capture_output=True, text=True)
    # Kedro's own command would name the parameter in other words.
    assert (done.returncode, "'as_of' is no `key=value`" in done.stderr) == (2, True), done.stderr


ORDERS = {
    "group first": "import quant_pipeline.cli",
    "module first": "import quant_pipeline.cli.run_command",
    "another command first": "import quant_pipeline.cli.sessions",
}
LAZY = """
import sys
from click import Command
from kedro.framework.cli.utils import find_run_command
assert isinstance(find_run_command("quant_pipeline"), Command)
for slow in ("quant_pipeline.cli.replay", "quant_pipeline.cli.models", "torch", "numba"):
    assert slow not in sys.modules, slow
"""


@pytest.mark.parametrize("first", ORDERS.values(), ids=ORDERS)
def test_run_is_the_command_in_any_order_of_imports_and_the_others_stay_lazy(project_path, first):
    subprocess.run([sys.executable, "-c", first + LAZY], cwd=project_path, check=True)
