"""What a run of single stages ends with: the result, where it lies, and the next command."""

import logging
from types import SimpleNamespace

import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import node, pipeline

from quant_pipeline.pipelines.results import RESULTS, Made, ResultHooks

DAYS = pd.DatetimeIndex(["2024-01-02", "2024-01-03"])
INDEX = pd.MultiIndex.from_product([DAYS, ["AAA"]], names=["datetime", "instrument"])


def said(dataset, project, parameters=None, **tables):
    """Return the lines about the stage that makes a dataset."""
    catalog = DataCatalog({name: MemoryDataset(table) for name, table in tables.items()})
    made = Made({dataset, *tables}, catalog, parameters or {}, project, {})
    return list(dict(RESULTS)[dataset](made))


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        ([0.1, None], "Labels: 1 realised, up to 2024-01-02; 1 not yet"),
        ([None, None], "Labels: 0 realised; 2 not yet"),
    ],
)
def test_labels_are_counted_also_where_none_is_realised(labels, line, tmp_path):
    table = pd.DataFrame({"label": pd.array(labels, dtype="float64")}, index=INDEX)
    assert said("labels", tmp_path, labels=table) == [line]


def test_a_factor_is_reported_with_its_strength(tmp_path):
    row = {"factor": "mine", "rank_ic": 0.0123, "rank_ic_t": 2.5, "spread": -0.0004, "spread_t": -0.2, "horizon": 5}
    lines = said("factor_page", tmp_path, factor_summary=pd.DataFrame([row]), factor_page="<html>")
    assert lines[0] == "mine: rank IC +0.0123 (t = 2.5), spread -0.04% per 5 sessions (t = -0.2)"
    assert lines[1].startswith("Page: ")


@pytest.mark.parametrize(
    ("model", "lines"),
    [
        ("ridge", ["Next: kedro run --pipelines ensemble,backtest,prediction"]),
        (
            "mine",
            [
                "No combination has mine: orders do not follow from it until one of parameters_ensemble.yml does",
                "Next: kedro run --pipelines ensemble,backtest --params ensemble.models=[ridge,gru,mine]",
            ],
        ),
    ],
)
def test_a_trained_model_that_no_combination_has_is_said_with_the_command_that_tries_it(model, lines, tmp_path):
    combinations = {"both": {"models": ["ridge", "gru"]}, "waiting": {"models": ["mine", "ridge"], "enabled": False}}
    parameters = {"ensemble": {"default": "both", "combinations": combinations}}
    metrics = {"rank_ic": 0.02, "rank_ic_t": 2.0, "sessions": 100}
    tables = {f"{model}.metrics": metrics, "champions": {}}
    catalog = DataCatalog({name: MemoryDataset(table) for name, table in tables.items()})
    made = Made(set(tables), catalog, parameters, tmp_path, {})
    assert list(dict(RESULTS)[".metrics"](made))[1:] == lines


def test_models_to_train_again_are_named_or_there_are_none(tmp_path):
    page = {"model_page": "<html>"}
    assert said("model_page", tmp_path, **page)[0] == "None of the models has to be trained again"
    tired = {"ridge_health": {"reasons": ["its rank IC is below the band", "two factors have drifted"]}}
    found = said("model_page", tmp_path, **tired, gru_health={"reasons": []}, **page)
    assert found[0] == "ridge: its rank IC is below the band; two factors have drifted"
    assert len(found) == 2


def test_a_run_ends_with_the_results_of_its_stages_and_one_next_command(tmp_path, capsys, caplog):
    table = pd.DataFrame({"label": [0.1, None]}, index=INDEX)
    sessions, members = pd.DataFrame({"date": DAYS}), pd.DataFrame({"date": DAYS, "instrument": "AAA"})
    quality = pd.DataFrame({"severity": ["error", "note"]})
    tables = {"labels": table, "sessions": sessions, "universe_members": members, "data_quality": quality}
    catalog = DataCatalog({name: MemoryDataset(each) for name, each in tables.items()})
    made = pipeline([node(lambda: None, None, list(tables), name="make")])
    hooks = ResultHooks()
    hooks.after_context_created(SimpleNamespace(config_loader={"parameters": {}}, project_path=tmp_path, env="paper"))
    with caplog.at_level(logging.INFO, logger="quant_pipeline.pipelines.results"):
        hooks.before_pipeline_run(made, catalog)
        hooks.after_pipeline_run(made, catalog)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("Market: 2 sessions, 2024-01-02 to 2024-01-03, 1 members of the universe; 1 errors")
    assert printed[1] == "Labels: 1 realised, up to 2024-01-02; 1 not yet"
    assert printed[2:] == ["Next: kedro run --pipelines features,training --env paper"]
