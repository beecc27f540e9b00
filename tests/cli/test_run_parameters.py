"""What `kedro run --params` understands, how unknown names are refused, and with which status it ends."""

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import click
import pytest
from click.testing import CliRunner
from kedro.framework import project
from kedro.framework.session import KedroSession
from kedro.io import MemoryDataset
from kedro.pipeline import node, pipeline

from quant_pipeline.cli.options import read_parameters
from quant_pipeline.cli.run_command import end_with_status, run, tell_unknown_names
from quant_pipeline.common.exceptions import ConfigurationError
from tests.helpers.c_library import take_library


def read(text):
    option = next(option for option in run.params if option.name == "params")
    return read_parameters(click.Context(run), option, text)


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("", {}),
        ("as_of=2025-01-02", {"as_of": "2025-01-02"}),
        ("expression=Corr($close, Log($volume+1), 20)", {"expression": "Corr($close, Log($volume+1), 20)"}),
        (
            "expression=$close/Ref($close, 5)-1, net_of=sector",
            {"expression": "$close/Ref($close, 5)-1", "net_of": "sector"},
        ),
        ("factor_evaluation.horizons=[1, 5],a.b=2", {"factor_evaluation": {"horizons": [1, 5]}, "a": {"b": 2}}),
        ("expression=If($close==$open, 1, 0)", {"expression": "If($close==$open, 1, 0)"}),
    ],
)
def test_commas_in_brackets_do_not_separate(typed, understood):
    assert read(typed) == understood


@pytest.mark.parametrize("typed", ["as_of", "=3", "as_of=1,oops"])
def test_what_is_no_pair_is_refused(typed):
    with pytest.raises(click.UsageError, match="is no `key=value`"):
        read(typed)


def test_values_from_a_configuration_file_pass():
    option = next(option for option in run.params if option.name == "params")
    assert read_parameters(click.Context(run), option, {"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"node_namespaces": ["nobody"]}, "nobody.*kedro models list"),
        ({"tags": ["nothing"]}, "no nodes.*registry describe"),
    ],
)
def test_an_unknown_name_is_one_message_with_the_remedy(chosen, words):
    stage = pipeline([node(abs, "a", "b", name="first", tags="known")])
    with pytest.raises(ConfigurationError, match=words):
        tell_unknown_names(stage.filter)(**chosen)


def test_a_misspelt_pipeline_gets_the_nearest_name(monkeypatch):
    def refuse():
        raise ValueError("Failed to find the pipeline named 'trainning'. It needs to be generated and returned.")

    monkeypatch.setattr(project, "pipelines", {"training": None, "tuning": None})
    with pytest.raises(ConfigurationError, match=r"did you mean 'training'\?\)\. `kedro registry list`"):
        tell_unknown_names(refuse)()


def test_a_programming_error_is_left_as_it_is():
    with pytest.raises(ValueError, match="invalid literal"):
        tell_unknown_names(int)("x")


@pytest.mark.parametrize(("result", "status"), [({}, 0), (None, 0), (0, 0), (3, 3), (5, 5)])
def test_a_run_ends_with_the_status_that_execution_returns(result, status):
    made = {"execution_status": MemoryDataset(result)} if isinstance(result, int) else result
    command = click.Command("run", callback=end_with_status(lambda: made))
    with pytest.raises(SystemExit) as ended:
        command.main([])
    assert ended.value.code == status


@pytest.mark.parametrize(
    ("words", "is_kept"),
    [
        ([], True),
        (["--pipelines", "daily"], True),
        (["--pipelines", "order_generation,execution"], True),
        (["--pipelines", "execution"], False),
        (["--pipeline", "execution"], False),
    ],
)
def test_the_process_of_a_run_keeps_large_blocks_unless_it_waits_for_a_broker(monkeypatch, words, is_kept):
    asked = take_library(monkeypatch)
    monkeypatch.setattr(KedroSession, "create", Mock(side_effect=TypeError("whatever becomes of it")))
    done = CliRunner().invoke(run, words, obj=SimpleNamespace(project_path=Path("nowhere")))
    assert "whatever becomes of it" in str(done.exception)
    assert asked == [(-3, 2**28), (-1, 2**30)] * is_kept
