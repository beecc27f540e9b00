"""Commands of jobs: what a request changes reaches the command, and the catalog from which its tables are kept."""

import pytest
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project

from quant_pipeline.project.opened_catalog import open_catalog
from quant_pipeline.service.jobs.kinds import KINDS, command_of, inputs_of, parameters_of

CHANGES = {"changes": {"strategy": {"topk": 3, "n_drop": 1}}}
GIVEN = {"as_of": "2024-12-31", "universe": {"names": ["A", "B"]}}


def test_the_command_line_carries_what_the_service_was_given_and_what_is_asked():
    words = command_of("backtest", CHANGES, "sim", GIVEN)
    params = "as_of=2024-12-31,universe.names=[A, B],strategy.topk=3,strategy.n_drop=1"
    assert words == ["-m", "quant_pipeline", "--pipelines", "backtest", "--env", "sim", "--params", params]
    assert command_of("search", {}, "sim", {})[-2:] == ["--env", "sim"]


def test_parameters_of_a_job_are_nested_as_its_command_reads_them():
    expected = {**GIVEN, "strategy": {"topk": 3, "n_drop": 1}}
    assert parameters_of("backtest", CHANGES, GIVEN) == expected
    asked = {"expression": "Mean($close, 5)/Ref($close, 5)", "start": "2024-01-02"}
    assert parameters_of("factor_evaluation", asked, {}) == {"factor_evaluation": asked}


def test_tables_of_another_backtest_are_kept_from_its_own_folder(project_path):
    """The account's own backtest has another one: its tables would be answered to the wrong question."""

    def place(request):
        catalog = open_catalog(project_path, "sim", parameters_of("backtest", request, {}))
        return str(catalog.get("backtest_nav")._filepath)

    assert place(CHANGES).endswith("08_reporting/backtests/strategy.n_drop=1__strategy.topk=3/nav.parquet")
    assert place({"changes": {}}).endswith("08_reporting/backtest/nav.parquet")


@pytest.mark.parametrize(
    ("kind", "pipeline"),
    [("backtest", "backtest"), ("search", "ensemble_search"), ("factor_evaluation", "factor_evaluation")],
)
def test_what_a_kind_reads_is_what_its_pipeline_reads(project_path, kind, pipeline):
    """A job is answered from the store while these have not changed: one too few would answer with what was."""
    bootstrap_project(project_path)
    read = {name for name in pipelines[pipeline].inputs() if not name.startswith("params:")}
    models = ("gru_alpha158", "lightgbm_alpha158", "ridge_alpha158")
    # What a search has computed before an interruption follows from the rest.
    assert set(inputs_of(kind, models)) == read - {"search_chunks_found"}


def test_what_depends_on_more_than_tables_is_never_answered_from_the_store():
    assert {name for name, kind in KINDS.items() if not kind.is_answer} == {
        "training",
        "prediction",
        "promotion",
        "rollback",
    }
    assert all(kind.inputs for kind in KINDS.values() if kind.is_answer)
