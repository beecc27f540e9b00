"""Which pipelines exist, and what they are made of."""

import pytest
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project

STAGES = {
    "ingestion",
    "features",
    "training",
    "prediction",
    "ensemble",
    "backtest",
    "post_trade",
    "shadow",
    "order_generation",
    "ranking",
    "reporting",
}
RESEARCH = {
    "tuning",
    "rolling",
    "continuation",
    "cross_validation",
    "ensemble_search",
    "factor_evaluation",
    "signal_evaluation",
    "model_report",
    "analysis",
    "qlib_comparison",
}
SENDING = {"execution"}


@pytest.fixture(scope="module", autouse=True)
def _project(project_path):
    bootstrap_project(project_path)


def node_names(name):
    return {node.name for node in pipelines[name].nodes}


def test_every_stage_is_registered_under_its_name():
    assert set(pipelines) == {"__default__", "daily", *RESEARCH, *SENDING, *STAGES}


def test_default_is_the_sum_of_all_stages():
    in_stages = {f"{stage}.{name}" for stage in STAGES for name in node_names(stage)}
    assert node_names("__default__") == in_stages


@pytest.mark.parametrize("name", ["__default__", "daily"])
def test_a_sum_folds_by_stage_and_keeps_the_names_of_datasets(name):
    stages = {node.namespace.partition(".")[0] for node in pipelines[name].nodes}
    assert stages <= set(STAGES)
    alone = set().union(*(pipelines[stage].datasets() for stage in stages))
    assert pipelines[name].datasets() == alone


def test_nothing_is_sent_unless_execution_is_asked_for_by_name():
    assert not pipelines["execution"].outputs() & pipelines["__default__"].datasets()


def test_daily_trains_nothing_and_backtests_nothing():
    stages = {node.namespace.partition(".")[0] for node in pipelines["daily"].nodes}
    assert not stages & {"training", "features", "backtest", "ensemble"}


def test_daily_is_a_part_of_default():
    assert node_names("daily") <= node_names("__default__")


def test_every_model_has_its_namespace_in_training():
    namespaces = {node.namespace for node in pipelines["training"].nodes}
    assert namespaces == {"lightgbm_alpha158", "ridge_alpha158", "gru_alpha158"}


def test_only_sources_the_broker_and_what_an_earlier_run_left_come_from_outside():
    free = {name for name in pipelines["__default__"].inputs() if not name.startswith("param")}
    models = {f"{node.namespace}.bundle_as_found" for node in pipelines["training"].nodes}
    files = {"statement_files", "score_file"}
    earlier = {"ledger_as_found", "champions", "previous_ranking", "earlier_fused_scores"}
    earlier |= {f"{node.namespace}_earlier_scores" for node in pipelines["training"].nodes}
    earlier |= {"shadow_sessions_found", "shadow_differences_found", "order_shortfall_found"}
    earlier |= {"live_scores"}  # Of `kedro live`, when it watches the market.
    assert free == {"market_source", "trading_desk", *earlier, *files, *models}


def test_new_sessions_are_scored_after_training():
    ranks = {node.name: rank for rank, group in enumerate(pipelines["__default__"].grouped_nodes) for node in group}
    assert ranks["training.ridge_alpha158.train_model"] < ranks["prediction.ridge_alpha158.score_latest"]
