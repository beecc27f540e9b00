"""The DAGs for Airflow: its own classes run them in `make proof-airflow`; here stand-ins record what they are given."""

import itertools
import runpy
import sys
from types import ModuleType, SimpleNamespace

import pytest
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project

from quant_pipeline.project.hooks.storage import path_of
from quant_pipeline.project.opened_catalog import open_catalog


class Dag:
    """Records its tasks."""

    open = None

    def __init__(self, name, **options):
        self.name, self.options, self.tasks = name, options, {}

    def __enter__(self):
        Dag.open = self
        return self

    def __exit__(self, *_):
        Dag.open = None


class Task:
    """Records its options and what comes before it."""

    def __init__(self, **options):
        self.options, self.before = options, set()
        Dag.open.tasks[options["task_id"]] = self

    def __rshift__(self, later):
        later.before.add(self.options["task_id"])


@pytest.fixture
def dags(project_path, monkeypatch):
    known = {
        "pendulum": {"datetime": lambda *_, tz: tz},
        "airflow.sdk": {"DAG": Dag, "Param": lambda default, **facts: SimpleNamespace(default=default, **facts)},
        "airflow.providers.standard.operators.bash": {"BashOperator": Task},
    }
    for name, members in known.items():
        for above in itertools.accumulate(name.split("."), "{}.{}".format):
            module = ModuleType(above)
            vars(module).update(members if above == name else {})
            monkeypatch.setitem(sys.modules, above, module)
    monkeypatch.setenv("QUANT_PIPELINE_ENV", "paper")
    monkeypatch.setenv("QUANT_PIPELINE_PROJECT", "/srv/desk")
    return runpy.run_path(str(project_path / "deploy" / "airflow" / "quant_pipeline_dags.py"))


def test_execution_is_one_task_that_is_never_tried_again(dags):
    execution = dags["execution"]
    assert execution.name == "quant_pipeline_execution_paper"
    assert (execution.options["max_active_runs"], execution.options["catchup"]) == (1, False)
    assert execution.options["default_args"] == {"retries": 0}
    (task,) = execution.tasks.values()
    assert "retries" not in task.options
    assert task.options["max_active_tis_per_dag"] == 1
    assert task.options["bash_command"].startswith('exec "$KEDRO" run --env "$ACCOUNT" --pipelines execution ')


def test_the_session_comes_by_the_environment_and_not_as_words_of_the_command(dags):
    for dag in (dags["daily"], dags["execution"]):
        assert dag.options["params"]["as_of"].pattern == r"^\d{4}-\d{2}-\d{2}$"
        for task in dag.tasks.values():
            assert "{{" not in task.options["bash_command"]
            assert task.options["env"]["AS_OF"] == "{{ params.as_of or '' }}"
            assert (task.options["cwd"], task.options["env"]["ACCOUNT"]) == ("/srv/desk", "paper")


def test_the_tasks_of_the_day_are_its_namespaces_in_the_order_of_their_data(dags, project_path):
    bootstrap_project(project_path)
    tasks, catalog = dags["daily"].tasks, open_catalog(project_path)
    parts = {}
    for node in pipelines["daily"].nodes:
        parts.setdefault(node.namespace.split(".")[0], []).append(node)
    assert set(tasks) == set(parts)
    assert all(f"--pipelines daily --namespaces {name} " in tasks[name].options["bash_command"] for name in tasks)

    def earlier(name):
        return set().union(*({before} | earlier(before) for before in tasks[name].before))

    made = {name: set().union(*(node.outputs for node in nodes)) for name, nodes in parts.items()}
    read = {name: set().union(*(node.inputs for node in nodes)) for name, nodes in parts.items()}
    files = {name: {path_of(each, catalog) for each in outputs} - {None} for name, outputs in made.items()}
    for one, other in itertools.permutations(parts, 2):
        if made[one] & read[other]:
            assert one in earlier(other), f"{other} reads what {one} makes"
        if files[one] & files[other]:
            assert one in earlier(other) or other in earlier(one), f"{one} and {other} write one file"


def test_airflow_is_pinned_with_all_that_it_needs(project_path):
    lines = (project_path / "deploy" / "airflow" / "requirements.txt").read_text().splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert all("==" in line for line in pinned)
    assert any(line.startswith("apache-airflow==3.") for line in pinned)
    assert not any(line.startswith(("kedro", "quant")) for line in pinned)
