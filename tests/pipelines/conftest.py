"""The whole path in memory, on a market of a dozen instruments."""

import pandas as pd
import pytest
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project
from kedro.io import AbstractDataset, DataCatalog
from kedro.runner import SequentialRunner

from quant_pipeline.trading.brokers.gateway import Gateway
from tests.helpers.whole_path import AS_OF, MODELS, Kept, parameters, small_market


class KeptChampions(AbstractDataset):
    """The champions in a catalog in memory."""

    def __init__(self, catalog, models):
        self.catalog, self.models = catalog, models

    def load(self):
        return {model: self.catalog.load(f"{model}.bundle@champion").identity for model in self.models}

    def save(self, data):
        raise NotImplementedError

    def _describe(self):
        return {}


@pytest.fixture(scope="session")
def run_in_memory(project_path, tmp_path_factory):
    """Run stages on a market and return a function that loads any of their datasets."""
    bootstrap_project(project_path)
    folder = tmp_path_factory.mktemp("account")
    desk = Gateway("simulated", {}, str(folder / "ledger.sqlite"), folder / "STOP")

    def run(
        market,
        as_of=AS_OF,
        stages=(
            "ingestion",
            "features",
            "training",
            "prediction",
            "ensemble",
            "backtest",
            "post_trade",
            "order_generation",
            "ranking",
        ),
        continues=None,
        registered=pipelines,
        models=MODELS,
        **given,
    ):
        """Run the stages; `continues` loads what they need of stages that ran before.

        Other models than those of the project come with the pipelines that were registered for them.
        """
        catalog = DataCatalog({"market_source": Kept(market)})
        catalog["ledger_as_found"] = Kept(())
        catalog["statement_files"] = Kept(())
        catalog["score_file"] = Kept(None)
        catalog["trading_desk"] = Kept(desk)
        catalog["previous_ranking"] = Kept(None)
        for name, value in {**parameters(as_of), **given}.items():
            catalog[f"params:{name}"] = Kept(value)
        path = sum((registered[stage] for stage in stages[1:]), registered[stages[0]])
        for name in path.all_outputs():
            catalog[name] = Kept()
        if "training" in stages:
            catalog["champions"] = KeptChampions(catalog, models)
        for model in models:
            catalog[f"{model}.bundle_as_found"] = Kept(None)
            # One store: what training saves as the candidate is loaded as the champion.
            catalog[f"{model}.bundle@candidate"] = catalog[f"{model}.bundle@champion"] = Kept()
        for name in path.inputs() - set(catalog) if continues else ():
            catalog[name] = Kept(continues(name))
        SequentialRunner().run(path, catalog)
        return catalog.load

    return run


@pytest.fixture(scope="session")
def market():
    return small_market().as_of(pd.Timestamp(AS_OF))


@pytest.fixture(scope="session")
def clean_run(run_in_memory, market):
    return run_in_memory(market)
