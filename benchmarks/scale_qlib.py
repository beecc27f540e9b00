"""Qlib's own workflow on the market of `scale_path.py`; prints one JSON object.

Its Alpha158 handler with labels by rank, its LightGBM with our parameters, its scores of the same test sessions
and its backtest by TopkDropout. It reads a provider, which is written before anything is timed.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from scale_path import LABEL, RULES, STRATEGY, simulate, spec_of, split_of

from quant_pipeline.factors.labels import expression_of
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.qlib_provider import write_provider
from quant_pipeline.models.gbdt import tree_parameters

os.environ["TQDM_DISABLE"] = "1"

LEARN = [{"class": "DropnaLabel"}, {"class": "CSRankNorm", "kwargs": {"fields_group": "label"}}]
"""Labels by rank, as our models learn them: trees of other labels have other shapes, and take another time."""


class Silent:
    """What Qlib's model logs to: a store of MLflow would be timed with it."""

    exp_manager = None

    def log_metrics(self, **_: object) -> None:
        """Keep nothing."""


class Stages:
    """User and system seconds of stages, with those of finished child processes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, stage: str, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do what a stage does."""
        before = _processor_seconds()
        done = work(*arguments)
        self.seconds[stage] = round(_processor_seconds() - before, 2)
        return done


def _processor_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(n_names: int, years: int, folder: Path) -> dict[str, Any]:
    """Run the workflow once."""
    import qlib
    from qlib.contrib.data.handler import Alpha158
    from qlib.contrib.model.gbdt import LGBModel
    from qlib.data.dataset import DatasetH
    from qlib.workflow import R

    market = simulate(n_names, years)
    write_provider(adjust_bars(market.bars, market.corporate_actions), market.sessions, folder)
    split, hyper = split_of(market.sessions), spec_of("lightgbm").hyper
    segments = {name: getattr(split, name) for name in ("train", "valid")}
    segments["test"] = (split.test[0], market.sessions[-1])
    qlib.init(provider_uri=str(folder), region="us", logging_level=logging.ERROR, kernels=1)
    vars(R)["_provider"] = Silent()
    stages = Stages()
    label = ([expression_of(LABEL, RULES.deal_price)], ["LABEL0"])
    first, last = market.sessions[0], market.sessions[-1]
    options = {"start_time": first, "end_time": last, "label": label, "learn_processors": LEARN}
    handler = stages.run("features", lambda: Alpha158("all", **options))
    dataset = DatasetH(handler, segments)
    parameters = tree_parameters(hyper, seed=0)
    model = LGBModel("mse", early_stopping_rounds=hyper.patience, num_boost_round=hyper.rounds, **parameters)
    stages.run("fit", lambda: model.fit(dataset, verbose_eval=0))
    scores = stages.run("predict", model.predict, dataset)
    stages.run("backtest", _backtest, scores, market.sessions)
    return {"best_round": model.model.best_iteration, "stages": stages.seconds}


def _backtest(scores: pd.Series, sessions: pd.DatetimeIndex) -> None:
    from qlib.contrib.evaluate import backtest_daily
    from qlib.contrib.strategy import TopkDropoutStrategy

    tested = sessions[sessions >= scores.index.get_level_values("datetime").min()]
    # The last decision needs a session after it.
    backtest_daily(
        start_time=tested[1],
        end_time=tested[-2],
        strategy=TopkDropoutStrategy(signal=scores, topk=STRATEGY.topk, n_drop=STRATEGY.n_drop),
        account=1e8,
        benchmark=pd.Series(0.0, index=sessions),
        exchange_kwargs={"freq": "day", "deal_price": RULES.deal_price, "limit_threshold": None},
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]), Path(place) / "provider")))
