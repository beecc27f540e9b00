"""The search for hyper-parameters: what it may see, that it goes on, that it finds what is planted."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError, ModelError
from quant_pipeline.datasets.study import OptunaStudy
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.models.date_splits import SplitParameters
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.models.tuning import Dimension, TuningParameters, suggest_spec, trials_table, tuning_folds
from quant_pipeline.pipelines.tuning import nodes as tuning_nodes
from quant_pipeline.pipelines.tuning.nodes import search_hyper_parameters
from tests.helpers.whole_path import inputs_of_training

SPLIT = SplitParameters(
    train=("2020-06-01", "2021-12-31"), valid=("2022-01-01", "2022-12-30"), test=("2023-01-03", None)
)
TUNING = {"trials": 4, "folds": 2, "fold_sessions": 60, "valid_sessions": 60, "warmup_trials": 2}
SPACE = {"alpha": {"low": 0.0001, "high": 100.0, "log": True}}


@pytest.fixture(scope="module")
def inputs(clean_run):
    return inputs_of_training(clean_run) | {"split": SPLIT}


def search(inputs, file, space=SPACE, **changed):
    tuning = TuningParameters.model_validate({**TUNING, "spaces": {"ridge": space}, **changed})
    study = OptunaStudy(filepath=str(file), name="ridge", warmup_trials=2).load()
    return search_hyper_parameters(**inputs, tuning=tuning, study=study)


def test_folds_by_literal_dates_never_reach_the_test_segment():
    sessions = TradingCalendar.of("XNYS", "2020-01-02", "2023-06-30").sessions
    tuning = TuningParameters.model_validate(TUNING)
    spans = [
        {name: (f"{days[0]:%Y-%m-%d}", f"{days[-1]:%Y-%m-%d}") for name, days in fold.segments.items()}
        for fold in tuning_folds(sessions, SPLIT, tuning, horizon=1)
    ]
    assert spans[1]["test"] == ("2022-10-04", "2022-12-28")
    assert spans[0]["test"][1] == "2022-10-03"
    assert spans[0]["train"][0] == spans[1]["train"][0] == "2020-06-01"
    with pytest.raises(ConfigurationError, match="fewer or shorter folds"):
        tuning_folds(sessions, SPLIT, TuningParameters(folds=9, fold_sessions=126), horizon=1)


def test_a_search_goes_on_where_it_stopped_and_ends_where_an_uninterrupted_one_ends(inputs, tmp_path):
    whole, best = search(inputs, tmp_path / "whole.sqlite")
    search(inputs, tmp_path / "parts.sqlite", trials=2)
    parts, again = search(inputs, tmp_path / "parts.sqlite")
    pd.testing.assert_frame_equal(parts, whole)
    assert again == best
    assert whole["trial"].nunique() == 4
    pd.testing.assert_frame_equal(search(inputs, tmp_path / "whole.sqlite")[0], whole)


def test_the_first_trial_is_what_is_registered_so_the_best_is_never_below_it(inputs, tmp_path):
    trials, best = search(inputs, tmp_path / "study.sqlite", trials=3)
    registered = trials.loc[trials["trial"] == 0].iloc[0]
    assert registered["hyper.alpha"] == inputs["spec"].hyper.alpha
    assert best["rank_ic_as_registered"] == registered["value"]
    assert best["rank_ic"] >= best["rank_ic_as_registered"]


def test_the_test_segment_is_never_seen(inputs, tmp_path):
    random = np.random.default_rng(1)
    poisoned = dict(inputs)
    for name in ("features", "labels"):
        table = inputs[name].copy()
        later = table.index.get_level_values("datetime") >= "2023-01-03"
        table.loc[later] = random.normal(size=(later.sum(), table.shape[1])).astype(table.dtypes.iloc[0])
        poisoned[name] = table
    clean, _ = search(inputs, tmp_path / "clean.sqlite", trials=2)
    other, _ = search(poisoned, tmp_path / "poisoned.sqlite", trials=2)
    pd.testing.assert_frame_equal(clean, other)


def test_a_search_in_which_no_trial_has_a_rank_ic_says_so_and_has_an_empty_table(inputs, tmp_path):
    unlabelled = inputs | {"labels": inputs["labels"].copy()}
    days = unlabelled["labels"].index.get_level_values("datetime")
    scored = (days >= "2022-10-04") & (days <= "2022-12-28")
    unlabelled["labels"].loc[scored] = np.nan
    reason = "in no session of the stretch from 2022-10-04 do scores and labels vary"
    with pytest.raises(
        ModelError, match=rf"^ridge: none of its trials has a rank IC.*{reason}.*`tuning.fold_sessions`"
    ):
        search(unlabelled, tmp_path / "study.sqlite", trials=2)
    table = trials_table(OptunaStudy(filepath=str(tmp_path / "study.sqlite"), name="ridge", warmup_trials=2).load())
    assert list(table.columns) == ["trial", "state", "value", "stretches"]
    assert table.empty


def test_a_trial_without_a_rank_ic_is_not_tried_again_and_again(inputs, tmp_path, monkeypatch):
    """The second suggestion cannot be trained: the third and fourth are others, and a later run fills its place."""
    judge, tried = tuning_nodes.judge_trial, []

    def judge_or_fail(data, task):
        candidate, _ = task
        if candidate.spec.hyper.alpha not in tried:
            tried.append(candidate.spec.hyper.alpha)
        if len(tried) == 2:
            raise ModelError("the loss of the network became nan")
        return judge(data, task)

    monkeypatch.setattr(tuning_nodes, "judge_trial", judge_or_fail)
    trials, _ = search(inputs, tmp_path / "study.sqlite")
    assert len(tried) == 4
    assert len(trials) == 3
    assert tried[1] not in set(trials["hyper.alpha"])
    trials, _ = search(inputs, tmp_path / "study.sqlite")
    assert len(tried) == 5
    assert len(trials) == 4


def test_registered_values_without_a_rank_ic_are_not_replaced_by_those_of_another_trial(inputs, tmp_path):
    study = OptunaStudy(filepath=str(tmp_path / "study.sqlite"), name="ridge", warmup_trials=2).load()
    study.enqueue_trial({"alpha": inputs["spec"].hyper.alpha})
    study.optimize(lambda trial: trial.suggest_float("alpha", 0.0001, 100.0, log=True) * np.nan, n_trials=1)
    study.optimize(lambda trial: trial.suggest_float("alpha", 0.0001, 100.0, log=True) * 0.0 + 0.02, n_trials=1)
    _, best = search(inputs, tmp_path / "study.sqlite", trials=1)
    assert (best["rank_ic"], best["rank_ic_as_registered"], best["trial"]) == (0.02, None, 0)


def test_a_dimension_that_the_algorithm_does_not_have_is_named(inputs, tmp_path):
    with pytest.raises(ConfigurationError, match=r"tuning\.spaces\.ridge.*ridge has no hyper-parameters \['leaves'\]"):
        search(inputs, tmp_path / "study.sqlite", space={"leaves": {"low": 1, "high": 3}})


@pytest.mark.parametrize("dimension", [{}, {"low": 1}, {"low": 2, "high": 1}, {"low": 1, "high": 2, "choices": [1]}])
def test_half_a_dimension_is_refused(dimension):
    with pytest.raises(ValueError, match=r"needs `low` and `high`, or `choices`|must be below high"):
        Dimension.model_validate(dimension)


def test_a_suggestion_changes_the_hyper_parameters_only():
    import optuna

    spec = ModelSpec.model_validate({"algorithm": "lightgbm", "features": "alpha158", "tags": ["tree"]})
    space = {
        "num_leaves": Dimension(low=8, high=8 + 1),
        "learning_rate": Dimension(choices=[0.125]),
        "lambda_l2": Dimension(low=1.0, high=2.0),
    }
    trial = optuna.create_study().ask()
    suggested = suggest_spec(spec, space, trial)
    assert suggested.hyper.num_leaves in (8, 9)
    assert suggested.hyper.learning_rate == 0.125
    assert 1.0 <= suggested.hyper.lambda_l2 <= 2.0
    assert suggested.model_copy(update={"hyper": spec.hyper}) == spec
