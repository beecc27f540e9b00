"""Stages on two workers give the bits of one process, also when workers are killed in the middle."""

import os
import pickle
import signal
from dataclasses import replace
from itertools import islice

import numpy as np
import pandas as pd
import psutil
import pytest

from quant_pipeline.backtest import combination_engine
from quant_pipeline.common.exceptions import ClusterError, ConfigurationError, ModelError
from quant_pipeline.common.memory import usable_memory
from quant_pipeline.common.tasks import places_elsewhere, run_tasks, tasks_on
from quant_pipeline.datasets.bundle import BundlesByWindow
from quant_pipeline.datasets.panel import YearlyPanel
from quant_pipeline.datasets.study import OptunaStudy
from quant_pipeline.factors.engine import compile_factors
from quant_pipeline.factors.feature_sets import TRADED, FeatureSet
from quant_pipeline.models.date_splits import CombinatorialParameters
from quant_pipeline.models.rolling_windows import RollingParameters
from quant_pipeline.models.tuning import TuningParameters
from quant_pipeline.pipelines.ensemble_search import nodes as search_nodes
from quant_pipeline.pipelines.features.nodes import compute_feature_set
from quant_pipeline.pipelines.rolling.nodes import cross_validate, train_windows
from quant_pipeline.pipelines.training.nodes import train_model
from quant_pipeline.pipelines.training.records import ModelSetting, TrainingData
from quant_pipeline.pipelines.tuning.nodes import search_hyper_parameters
from quant_pipeline.project import cluster_tasks
from quant_pipeline.project.cluster import connect
from quant_pipeline.project.cluster_tasks import ClusterWorkers, Packed, _Batch, _dumped
from tests.helpers.cluster_tasks import refuse, tell_memory, weigh
from tests.helpers.toy_search import toy
from tests.helpers.whole_path import AS_OF, inputs_of_training, parameters

ROLLING = RollingParameters(
    start="2020-06-01", first_test="2023-07-03", frequency="quarterly", train_sessions=252, valid_sessions=60
)
SPLIT = parameters(AS_OF)["split"]


@pytest.fixture(scope="module")
def client():
    """A cluster of two processes."""
    with connect(2) as client:
        yield client


@pytest.fixture(scope="module")
def workers(client):
    """The processes, reached by the address of their scheduler."""
    reached = ClusterWorkers(client.scheduler.address)
    yield reached
    reached.close()


@pytest.fixture
def inputs(clean_run):
    return inputs_of_training(clean_run)


def twice(workers, compute):
    """Compute in this process and on the workers."""
    here = compute()
    with tasks_on(workers):
        return here, compute()


def test_tasks_keep_their_order_and_run_in_other_processes(workers):
    shared = {"weights": np.arange(3.0)}
    items = [np.full(3, float(number)) for number in range(20)]
    here, there = twice(workers, lambda: list(run_tasks(weigh, shared, items)))
    assert [value for value, _ in there] == [value for value, _ in here]
    assert {process for _, process in here} == {os.getpid()}
    assert os.getpid() not in {process for _, process in there}


def test_workers_share_the_memory_of_a_machine(workers):
    (here,), (there,) = twice(workers, lambda: list(run_tasks(tell_memory, None, [0])))
    assert here == usable_memory()
    assert there <= psutil.virtual_memory().total // 2


def test_what_a_task_raises_is_raised_here(workers):
    with tasks_on(workers), pytest.raises(ModelError, match=r"^item 0 cannot be used$"):
        list(run_tasks(refuse, ModelError, range(5)))


@pytest.mark.parametrize(("taken", "error"), [(1, ModelError), (3, KeyboardInterrupt), (12, ModelError)])
def test_results_before_an_item_that_cannot_be_made_are_handed_on(workers, taken, error):
    def items():
        yield from map(np.full, [3] * taken, map(float, range(taken)))
        raise error("the next window has no bundle")

    with tasks_on(workers):
        results = run_tasks(weigh, {"weights": np.ones(3)}, items())
        assert [value for value, _ in islice(results, taken)] == [3.0 * number for number in range(taken)]
        with pytest.raises(error, match="no bundle"):
            next(results)


def test_features_have_the_same_bits(clean_run, workers, monkeypatch):
    monkeypatch.setattr("quant_pipeline.factors.program_runner.BLOCK_ROWS", 2_000)
    bars, sessions, wanted = clean_run("adjusted_bars"), clean_run("sessions"), clean_run("alpha158_features")
    with tasks_on(workers):
        computed = compute_feature_set(bars, sessions, FeatureSet(library="alpha158"))
        monkeypatch.setattr("quant_pipeline.factors.panel_parts.PART_BYTES", 1)
        in_parts = compute_feature_set(bars, sessions, FeatureSet(library="alpha158")).whole()
    pd.testing.assert_frame_equal(computed, wanted, check_exact=True)
    pd.testing.assert_frame_equal(in_parts, wanted, check_exact=True)


@pytest.mark.parametrize("expression", ["CSRank($close)", "ChangeInstrument('A', $close)/$close"])
def test_expressions_that_look_at_other_instruments_are_computed_here(expression):
    assert compile_factors({"mean": "Mean($close, 5)"}).program.is_divisible
    assert not compile_factors({"factor": expression}).program.is_divisible


def test_windows_folds_and_models_have_the_same_bits(inputs, workers, tmp_path):
    def compute():
        windows = train_windows(
            **inputs,
            split=SPLIT,
            rolling=ROLLING,
            bundles_as_found=BundlesByWindow(filepath=str(tmp_path / "none")).load(),
        )
        identities = [{name: bundle.identity for name, bundle in window.items()} for window in windows]
        bundle, *_ = train_model(**inputs, split=SPLIT, bundle_as_found=None)
        chosen = CombinatorialParameters(groups=3, test_groups=1)
        return identities, bundle.identity, cross_validate(**inputs, split=SPLIT, cross_validation=chosen)

    here, there = twice(workers, compute)
    assert len(there[0]) == 2
    assert there[:2] == here[:2]
    pd.testing.assert_frame_equal(there[2], here[2], check_exact=True)


def test_trials_have_the_same_values(inputs, workers, tmp_path):
    spaces = {"ridge": {"alpha": {"low": 0.0001, "high": 100.0, "log": True}}}
    tuning = TuningParameters.model_validate(
        {"trials": 3, "folds": 2, "fold_sessions": 60, "valid_sessions": 60, "trials_at_once": 2, "spaces": spaces}
    )

    def search(file):
        study = OptunaStudy(filepath=str(tmp_path / file), name="ridge", warmup_trials=2).load()
        return search_hyper_parameters(**inputs, split=SPLIT, tuning=tuning, study=study)

    trials, best = search("here.sqlite")
    with tasks_on(workers):
        elsewhere = search("there.sqlite")
    pd.testing.assert_frame_equal(elsewhere[0], trials, check_exact=True)
    assert elsewhere[1] == best


def test_what_tasks_share_is_sent_again_when_it_was_lost(workers, caplog):
    items = [np.full(3, float(number)) for number in range(40)]
    batch = _Batch(workers, weigh, {"weights": np.ones(3)}, items)
    results = batch.results()
    values = [next(results)[0]]
    workers.client.cancel([batch._data], force=True)
    values += [value for value, _ in results]
    assert values == [3.0 * number for number in range(40)]
    assert "are sent again" in caplog.text


def killing(workers, results, count):
    """Pass results on, and kill so many workers after the third one."""
    for number, result in enumerate(results):
        if number == 2:
            for process in list(workers.client.run(os.getpid).values())[:count]:
                os.kill(process, signal.SIGKILL)
        yield result


def test_a_worker_that_is_killed_in_the_middle_of_a_search_changes_no_bit_of_it(workers, monkeypatch):
    monkeypatch.setattr(combination_engine, "_ACCOUNTS_PER_BLOCK", 2)
    market = toy({"good": 0.25, "fair": 0.12, "noise_a": 0.0, "noise_b": 0.0, "noise_c": 0.0, "noise_d": 0.0})
    arguments = *market.market(market.candidates()), *market.rules(), {}

    def search():
        return pd.concat([table for chunk in search_nodes.backtest_candidates(*arguments) for table in chunk.values()])

    here = search()
    monkeypatch.setattr(combination_engine, "track", lambda blocks, *_: killing(workers, blocks, 1))
    with tasks_on(workers):
        pd.testing.assert_frame_equal(search(), here, check_exact=True)


def test_a_worker_that_is_killed_in_the_middle_of_features_changes_no_bit_of_them(clean_run, workers, monkeypatch):
    monkeypatch.setattr("quant_pipeline.factors.program_runner.BLOCK_ROWS", 500)
    bars, sessions, wanted = clean_run("adjusted_bars"), clean_run("sessions"), clean_run("alpha158_features")
    monkeypatch.setattr("quant_pipeline.factors.engine.track", lambda results, *_: killing(workers, results, 1))
    with tasks_on(workers):
        places_elsewhere()
        before = set(workers.client.run(os.getpid).values())
        computed = compute_feature_set(bars, sessions, FeatureSet(library="alpha158"))
        left = set(workers.client.run(os.getpid).values())
    pd.testing.assert_frame_equal(computed, wanted, check_exact=True)
    assert len(before - left) == 1


@pytest.mark.slow  # Two processes have to be started again.
def test_a_run_goes_on_when_every_worker_was_killed(workers):
    items = [np.full(3, float(number)) for number in range(40)]
    with tasks_on(workers):
        results = killing(workers, run_tasks(weigh, {"weights": np.ones(3)}, items), 2)
        assert [value for value, _ in results] == [3.0 * number for number in range(40)]


def test_a_worker_with_other_code_is_refused(monkeypatch):
    home = cluster_tasks.this_installation()
    other = cluster_tasks.Installation("desk", {**home.versions, "numpy": "1.0"}, home.processor)
    monkeypatch.setattr(cluster_tasks, "this_installation", lambda: other)
    with pytest.raises(ConfigurationError, match=r"the worker on desk has numpy 1\.0 instead of 2"):
        cluster_tasks.run_call(home, pickle.dumps((weigh, 1)), Packed(pickle.dumps(1)))


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr("quant_pipeline.project.cluster.SECONDS_FOR_AN_ANSWER", 0.2)
    with tasks_on(ClusterWorkers("tcp://127.0.0.1:9")), pytest.raises(ConfigurationError, match="no Dask scheduler"):
        places_elsewhere()


def weigh_until_the_scheduler_ends(cluster, finished):
    """Weigh forty items, and end the scheduler after the third result."""
    items = (np.full(3, float(number)) for number in range(40))
    for value, _ in run_tasks(weigh, {"weights": np.ones(3)}, items):
        finished.append(value)
        if len(finished) == 3:
            cluster.close()


def test_a_scheduler_that_is_lost_ends_the_run_in_one_line_and_what_is_finished_is_kept():
    """The cluster lives in this process, so that its scheduler can end between two tasks."""
    finished, distributed = [], pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        reached = ClusterWorkers(cluster.scheduler_address)
        with tasks_on(reached), pytest.raises(ClusterError, match=r"^the scheduler of the cluster was lost; start it"):
            weigh_until_the_scheduler_ends(cluster, finished)
        reached.close()
    assert finished == [3.0 * number for number in range(len(finished))]
    assert 3 <= len(finished) < 40


def test_features_go_to_workers_of_this_machine_by_name_and_to_others_as_the_columns_that_are_used(clean_run, tmp_path):
    panel = YearlyPanel(str(tmp_path), lazy=True)
    panel.save(clean_run("alpha158_features"))
    inputs = inputs_of_training(clean_run) | {"features": panel.load()}
    setting = ModelSetting(**{name: inputs.pop(name) for name in ("spec", "feature_set", "label", "market_rules")})
    setting = replace(setting, spec=setting.spec.model_copy(update={"factors": ["ROC5", "KMID"]}))
    data = TrainingData(**inputs).read_by(setting)
    assert list(data.features.columns) == ["KMID", "ROC5", TRADED]
    at_home, elsewhere = (Packed(_dumped(data.features, in_sight), in_sight) for in_sight in (True, False))
    assert len(_dumped(at_home)) < 2_000 < 4 * 3 * len(data.features.index) < len(_dumped(elsewhere))
    at_home.unpack()
    # Handed from one worker to the next, it is still a name.
    assert len(_dumped(at_home)) < 2_000
    pd.testing.assert_frame_equal(at_home.unpack().read(), elsewhere.unpack().read(), check_exact=True)
