"""Qlib's classical workflow on a provider that the project has written, from `init_qlib` to the analysis of risk."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.qlib_provider import BENCHMARK, write_provider
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
from quant_pipeline.market.universe import UniverseParameters, select_universe
from quant_pipeline.tracking.qlib_experiments import ARTIFACTS, STORE, init_qlib

START, END = "2020-01-02", "2021-12-31"
SEGMENTS = {"train": ("2020-04-01", "2020-12-31"), "valid": ("2021-01-04", "2021-05-28"), "test": ("2021-06-01", END)}
LABEL = (["Ref($close, -2)/Ref($close, -1) - 1"], ["LABEL0"])


@pytest.fixture(scope="module")
def market():
    parameters = SimulatedMarketParameters(seed=7, n_instruments=12, start=START, end=END)
    return generate_market(parameters).as_of(pd.Timestamp(END))


@pytest.fixture(scope="module")
def provider(market, tmp_path_factory):
    folder = tmp_path_factory.mktemp("market") / "100%25?" / "qlib"
    bars = adjust_bars(market.bars, market.corporate_actions)
    members = select_universe(market.bars, market.instruments, UniverseParameters(min_listing_sessions=60))
    write_provider(bars, pd.DatetimeIndex(np.sort(market.bars["date"].unique())), folder, members, market.benchmark)
    return folder


@pytest.fixture
def qlib(provider, monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    init_qlib(provider)
    yield tmp_path
    assert list(tmp_path.iterdir()) == [], "Qlib wrote into the folder that Python was started in"


def handler(kind):
    from qlib.contrib.data import handler as handlers

    segments = {"start_time": START, "end_time": END, "fit_start_time": SEGMENTS["train"][0]}
    options = {"fit_end_time": SEGMENTS["train"][1], "instruments": "universe", "label": LABEL}
    if kind == "Alpha360":
        # Those of Qlib's own benchmarks; its default, ProcessInf, starts processes for every month and takes minutes.
        scale = {"class": "RobustZScoreNorm", "kwargs": {"fields_group": "feature", "clip_outlier": True}}
        options["infer_processors"] = [scale, {"class": "Fillna", "kwargs": {"fields_group": "feature"}}]
    return getattr(handlers, kind)(**segments, **options)


@cache
def dataset(kind):
    """Computed once: it holds its tables, whatever provider Qlib is pointed at."""
    from qlib.data.dataset import DatasetH

    return DatasetH(handler(kind), SEGMENTS)


def test_features_of_the_universe_and_of_the_benchmark_are_read(qlib, market):
    from qlib.data import D

    ranges = D.list_instruments(D.instruments("universe"), as_list=False)
    members = select_universe(market.bars, market.instruments, UniverseParameters(min_listing_sessions=60))
    days = pd.DatetimeIndex(D.calendar())
    inside = {
        (day, name) for name, spans in ranges.items() for a, b in spans for day in days[(days >= a) & (days <= b)]
    }
    assert inside == set(members[["date", "instrument"]].itertuples(index=False, name=None))
    assert BENCHMARK not in D.list_instruments(D.instruments("all"), as_list=True)
    level = D.features([BENCHMARK], ["$close", "$close/$factor"], disk_cache=0)
    np.testing.assert_allclose(level.iloc[:, 0], market.benchmark["total_return_close"], rtol=1e-6)
    np.testing.assert_allclose(level.iloc[:, 1], market.benchmark["close"], rtol=1e-6)


@pytest.mark.parametrize(("kind", "columns"), [("Alpha158", 158), ("Alpha360", 360)])
def test_handlers_of_qlib_compute_their_factors(qlib, kind, columns):
    features = dataset(kind).prepare("test", col_set="feature")
    assert features.shape[1] == columns
    assert features.notna().mean().mean() > 0.95
    assert len(features) > 1_000


@pytest.mark.parametrize("name", ["LGBModel", "XGBModel"])
def test_a_model_of_qlib_is_trained_traded_and_judged(qlib, provider, name):
    from qlib.contrib.evaluate import backtest_daily, risk_analysis
    from qlib.contrib.strategy import TopkDropoutStrategy
    from qlib.workflow import R

    if name == "XGBModel":
        pytest.importorskip("xgboost")
        from qlib.contrib.model.xgboost import XGBModel as Model

        model = Model(eta=0.2, max_depth=3, nthread=1)
    else:
        from qlib.contrib.model.gbdt import LGBModel as Model

        model = Model(num_leaves=8, learning_rate=0.2, num_threads=1, num_boost_round=20, verbosity=-1)
    data = dataset("Alpha158")
    with R.start(experiment_name=f"workflow {name}"):
        if name == "XGBModel":
            model.fit(data, num_boost_round=20, verbose_eval=False)
        else:
            model.fit(data)
        scores = model.predict(data)
        R.log_metrics(scores=len(scores))
        run = R.get_recorder().id
    assert scores.index.get_level_values(0).min() >= pd.Timestamp("2021-06-01")
    assert scores.std() > 0
    report, positions = backtest_daily(
        start_time="2021-06-02",
        end_time="2021-12-29",
        strategy=TopkDropoutStrategy(signal=scores, topk=5, n_drop=1),
        benchmark=BENCHMARK,
        exchange_kwargs={"deal_price": "open", "open_cost": 0.0005, "close_cost": 0.0015, "min_cost": 5},
    )
    assert len(report) == 147
    assert report["bench"].abs().max() > 0
    assert len(positions) == 147
    risk = risk_analysis(report["return"] - report["bench"] - report["cost"])["risk"]
    assert list(risk.index) == ["mean", "std", "annualized_return", "information_ratio", "max_drawdown"]
    assert np.isfinite(risk).all()
    recorder = R.get_recorder(recorder_id=run, experiment_name=f"workflow {name}")
    assert recorder.list_metrics()["scores"] == len(scores)
    assert (provider.parent / STORE).is_file()


def test_artifacts_lie_beside_the_provider(qlib, provider):
    from qlib.workflow import R

    with R.start(experiment_name="artifacts"):
        R.save_objects(weights={"a": 1.0})
        number = R.get_recorder().id
    assert R.get_recorder(recorder_id=number, experiment_name="artifacts").load_object("weights") == {"a": 1.0}
    assert (provider.parent / ARTIFACTS).is_dir()


def test_another_store_is_taken_from_the_argument_or_the_shell(provider, tmp_path, monkeypatch):
    from qlib.workflow import R

    monkeypatch.chdir(tmp_path)
    own = f"sqlite:///{tmp_path / 'own.db'}"
    init_qlib(provider, own)
    assert R.get_uri() == own
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'shell.db'}")
    init_qlib(provider)
    assert R.get_uri() == f"sqlite:///{tmp_path / 'shell.db'}"


def test_a_folder_that_is_no_provider_is_refused_with_the_command_that_writes_one(tmp_path):
    with pytest.raises(MarketDataError, match="is no Qlib provider; write it with `kedro run --pipelines ingestion`"):
        init_qlib(tmp_path)
