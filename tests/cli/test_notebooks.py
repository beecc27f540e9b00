"""Every notebook runs from its first cell to its last, and holds small outputs of such a run."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.helpers.project import PATIENCE
from tests.helpers.representatives import representatives

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = sorted(file.stem for file in FOLDER.glob("*.ipynb"))
# What a notebook says has to be run before, after `kedro run`.
BEFORE = {"05_search": "kedro run --pipelines ensemble_search"}
LARGEST = 40_000
"""Bytes of a notebook with its outputs."""


@pytest.mark.parametrize("name", representatives(NAMES, {"04_account"}))
def test_a_notebook_runs(name, request, tmp_path):
    # Loading them compiles grammars for five seconds: only the worker that runs a notebook waits for that.
    import nbformat
    from nbclient import NotebookClient

    project = request.getfixturevalue("next_day" if name == "04_account" else "finished").copy(tmp_path / "project")
    if name in BEFORE:
        project.run(BEFORE[name])
    folder = project.path / "notebooks"
    notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
    kernel = NotebookClient(notebook, timeout=PATIENCE, resources={"metadata": {"path": str(folder)}})
    # Lines that begin with an exclamation mark find the programs of this interpreter, as in an activated environment.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    kernel.execute(env={**project.place["env"], "PATH": path})
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("name", NAMES)
def test_outputs_of_a_notebook_are_small_and_no_errors(name):
    file = FOLDER / f"{name}.ipynb"
    outputs = [output for cell in json.loads(file.read_text())["cells"] for output in cell.get("outputs", ())]
    assert file.stat().st_size < LARGEST
    assert "error" not in {output["output_type"] for output in outputs}
    assert "stderr" not in {output.get("name") for output in outputs}
    assert outputs or name == "01_tour", "run it, and store it with its outputs"
