"""What benchmarks and tools take from the package is there: nothing else in the suite runs most of them."""

import ast
import importlib
import json
import subprocess
import sys

import pytest

FOLDERS = ("benchmarks", "tools")


def taken_from_the_package(file):
    """Yield module and name of every import of the package, also those inside functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "quant_pipeline":
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_name_is_there(project_path, folder):
    files = sorted((project_path / folder).rglob("*.py"))
    taken = {pair: file.name for file in files for pair in taken_from_the_package(file)}
    assert taken
    gone = [
        f"{file}: {module}.{name}"
        for (module, name), file in taken.items()
        if not hasattr(importlib.import_module(module), name)
    ]
    assert gone == []


def test_a_small_ledger_is_measured(project_path):
    file = project_path / "benchmarks" / "ledger.py"
    command = [sys.executable, str(file), "--orders", "5", "--events", "40"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["events"] == 40
    assert found["orders_per_second"] > 0
