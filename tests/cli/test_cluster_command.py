"""`kedro run` on a cluster: the command or the configuration names the workers, and results keep their bits."""

from hashlib import blake2b

import pytest

RUNS = ("kedro run --pipelines features", "kedro run --pipelines cross_validation --namespaces ridge_alpha158")


def files_of(project):
    """Return the digests of the files of the market, by path."""
    kept = [file for file in (project.path / "data/markets").rglob("*") if file.is_file()]
    return {str(file): blake2b(file.read_bytes()).hexdigest() for file in kept}


@pytest.mark.parametrize("command", RUNS)
def test_a_stage_on_two_processes_writes_the_files_of_one(module_project, command):
    module_project.run(command)
    here = files_of(module_project)
    told = module_project.run(f"{command} --cluster 2")
    assert "tasks run on 2 workers with 2 threads" in " ".join(told.stdout.split())
    assert files_of(module_project) == here


@pytest.mark.parametrize("option", ["--cluster desk:8786", "--params cluster=desk:8786"])
def test_what_names_no_cluster_is_refused(module_project, option):
    refused = module_project.run(f"{RUNS[0]} {option}", ok=False)
    assert "`cluster` is 'desk:8786'; it should be the address of a Dask scheduler" in refused.stdout + refused.stderr


def test_a_cluster_is_named_once(module_project):
    refused = module_project.run(f"{RUNS[0]} --cluster 2 --params cluster=3", ok=False)
    assert "--cluster and `cluster` of --params name a cluster; leave one of them out" in refused.stderr


def test_a_cluster_of_yaml_is_read_and_reached_only_by_runs_that_need_it(project):
    written = project.path / "conf/local/parameters_cluster.yml"
    written.parent.mkdir(exist_ok=True)
    written.write_text("cluster: desk:8786\n")
    refused = project.run("kedro run --pipelines daily", ok=False)
    assert "`cluster` is 'desk:8786'; it should be" in refused.stdout + refused.stderr
    # Nothing answers there.
    written.write_text("cluster: tcp://127.0.0.1:9\n")
    project.run("kedro run --pipelines daily")
