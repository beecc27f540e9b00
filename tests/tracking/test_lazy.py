"""MLflow takes seconds to import, so only what records a run, or asks for it, imports it."""

import json
import subprocess
import sys

from tests.helpers.project import copy_project

PROBE = """
import json, sys
from kedro.framework.cli import main

def loaded():
    return sorted({name.partition(".")[0] for name in sys.modules} & {"mlflow", "kedro_mlflow", "alembic"})

seen = {}
for command in sys.argv[1:]:
    sys.argv = ["kedro", *command.split()]
    try:
        main()
    except SystemExit as ended:
        seen[command] = [ended.code, loaded()]
with open("seen.json", "w") as file:
    json.dump(seen, file)
"""


def test_only_commands_of_mlflow_import_it_and_no_other_opens_a_store(tmp_path, project_path):
    project = copy_project(project_path, tmp_path / "project")
    commands = ["--help", "registry list", "models list", "mlflow --help"]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *commands], **project.place, capture_output=True, text=True, check=True
    )
    seen = json.loads((project.path / "seen.json").read_text())
    quiet = {command: [0, []] for command in commands[:-1]}
    assert seen == {**quiet, "mlflow --help": [0, ["kedro_mlflow", "mlflow"]]}
    assert not list(project.path.glob("*mlflow*"))
    assert "Use mlflow-specific commands" in done.stdout
    assert "modelify" in done.stdout
