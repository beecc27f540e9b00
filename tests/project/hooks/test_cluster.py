"""The parameter that names a cluster: what it may be, and that a cluster is reached with the first task only."""

import subprocess
import sys

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from quant_pipeline.common import tasks
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project.hooks.cluster import ClusterHooks


@pytest.fixture
def hooks_of(project_path):
    def make(where):
        hooks = ClusterHooks()
        bootstrap_project(project_path)
        named = {"cluster": where}
        with KedroSession.create(project_path, env="sim", runtime_params=named, save_on_close=False) as session:
            hooks.after_context_created(session.load_context())
        return hooks

    return make


NO_ADDRESS = ["10.0.0.5:8786", "http://10.0.0.5", "tcp://", "tls://desk", "tcp://d:a", "tcp://d:0", "tcp://d:65536"]
NO_HOST = ["tcp://10.0.0..5:8786", f"tcp://{'desk' * 16}:8786", "tcp://me@desk:8786", "tcp://de sk:8786"]
NO_CLUSTER = [*NO_ADDRESS, *NO_HOST, 0, -1, True, False, 2.5, 0.0, "", [2], [], {}]


@pytest.mark.parametrize("where", NO_CLUSTER)
def test_what_is_no_cluster_is_refused(hooks_of, where):
    with pytest.raises(ConfigurationError, match=r"^`cluster` is .*such as tcp://10\.0\.0\.5:8786, or a number"):
        hooks_of(where).before_pipeline_run()


def test_a_cluster_is_not_asked_for_before_the_first_task(hooks_of):
    """Nothing answers at this address: the daily run and executions do not care."""
    hooks = hooks_of("tcp://127.0.0.1:9")
    hooks.before_pipeline_run()
    assert tasks._workers is not None
    hooks.on_pipeline_error()
    assert tasks._workers is None


def test_a_run_without_a_cluster_computes_here(hooks_of):
    hooks = hooks_of(None)
    hooks.before_pipeline_run()
    assert tasks.places_elsewhere() == 0
    hooks.after_pipeline_run()


WITHOUT = """
import sys
from quant_pipeline.common.tasks import run_tasks
from quant_pipeline.project.hooks import ClusterHooks
hooks = ClusterHooks()
hooks.before_pipeline_run()
assert list(run_tasks(max, 2, [1, 3])) == [2, 3]
assert not {"dask", "distributed"} & set(sys.modules)
"""


def test_without_a_cluster_nothing_of_dask_is_imported():
    subprocess.run([sys.executable, "-c", WITHOUT], check=True)
