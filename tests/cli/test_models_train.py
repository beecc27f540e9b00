"""`kedro models train`: which cluster it takes."""

import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from quant_pipeline.cli.models import train
from tests.helpers.project import bare_project

NOWHERE = "tcp://127.0.0.1:9"
"""An address at which nothing answers."""


@pytest.fixture
def project(project_path, tmp_path, monkeypatch):
    path = bare_project(project_path, tmp_path / "project")
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def training(project, monkeypatch):
    monkeypatch.setattr("quant_pipeline.project.cluster.SECONDS_FOR_AN_ANSWER", 0.2)

    def type_it(*arguments, yaml=None):
        if yaml is not None:
            (project / "conf/local/parameters_cluster.yml").write_text(f"cluster: {yaml}\n")
        return CliRunner().invoke(train, arguments, obj=bootstrap_project(project))

    return type_it


@pytest.mark.parametrize("yaml", ["0", "false", "''", "[]", "{}", "0.0", "desk:8786"])
def test_yaml_that_names_no_cluster_is_refused_as_for_runs(training, yaml):
    refused = training(yaml=yaml)
    assert refused.exit_code == 1
    assert "it should be the address of a Dask scheduler" in refused.output


@pytest.mark.parametrize(
    "arguments",
    [["--cluster", ""], ["--cluster", "desk:8786"], *(["--params", f"cluster={no}"] for no in ("0", "false", "[]"))],
)
def test_a_command_line_that_names_no_cluster_is_refused_as_for_runs(training, arguments):
    refused = training(*arguments, yaml=NOWHERE)
    assert refused.exit_code == 1
    assert "it should be the address of a Dask scheduler" in refused.output


def test_a_cluster_is_named_once(training):
    refused = training("--cluster", "2", "--params", "cluster=3")
    assert refused.exit_code == 2
    assert "--cluster and `cluster` of --params name a cluster; leave one of them out" in refused.output


def test_an_option_stands_beside_a_parameter_that_names_none(training):
    told = training("--cluster", NOWHERE, "--params", "cluster=null")
    assert f"no Dask scheduler answers at {NOWHERE}" in told.output


def test_a_cluster_of_yaml_is_that_of_a_training(training):
    assert f"no Dask scheduler answers at {NOWHERE}" in training(yaml=NOWHERE).output
