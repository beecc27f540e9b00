"""The whole path in memory, on a market of a dozen instruments."""

import pandas as pd
import pytest
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from quant_pipeline.factors.feature_sets import FeatureSet
from quant_pipeline.market.quality import QualityParameters
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
from quant_pipeline.market.universe import UniverseParameters
from quant_pipeline.models.cross_validation import SplitParameters
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.pipelines.backtest.parameters import BacktestParameters
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.strategy.account import AccountParameters
from quant_pipeline.strategy.rules import CostRules, MarketRules, StrategyRules
from quant_pipeline.trading.order_management.rules import ExecutionRules
from quant_pipeline.trading.risk_limits import RiskLimits
from quant_pipeline.trading.statement_import import StatementImportParameters

AS_OF = "2023-12-29"
FACTORS = ["KMID", "KSFT", "ROC5", "MA10", "STD20", "RSV10", "CORD10", "VMA5", "CNTD20", "RESI10"]
MODELS = {
    "lightgbm_alpha158": {"algorithm": "lightgbm", "hyper": {"rounds": 20, "min_data_in_leaf": 50, "threads": 1}},
    "ridge_alpha158": {"algorithm": "ridge"},
    "gru_alpha158": {"algorithm": "gru", "hyper": {"window": 5, "hidden": 8, "epochs": 1, "threads": 1}},
}


class Kept(MemoryDataset):
    """Keeps its data when the runner thinks that nobody needs them any more."""

    def __init__(self, *data):
        super().__init__(*data, copy_mode="assign")

    def _release(self):
        pass


def small_market():
    """Twelve instruments over four years."""
    return generate_market(SimulatedMarketParameters(n_instruments=12, start="2020-01-02", end="2024-12-31"))


def parameters(as_of):
    models = {
        name: ModelSpec.model_validate({"features": "alpha158", "factors": FACTORS, **entry})
        for name, entry in MODELS.items()
    }
    ensemble = {
        "default": "all_icir",
        "combinations": {
            "all_icir": {"models": list(MODELS), "weights": "icir"},
            "all_equal": {"models": list(MODELS)},
        },
    }
    return {
        "as_of": as_of,
        "quality": QualityParameters(),
        "universe": UniverseParameters(minimum_listing_sessions=60),
        "feature_sets.alpha158": FeatureSet(library="alpha158"),
        "label": LabelParameters(),
        "market_rules": MarketRules(),
        "cost_rules": CostRules.preset("US"),
        "strategy": StrategyRules(topk=4, n_drop=1),
        "order_generation": OrderGenerationParameters(),
        "statement_import": StatementImportParameters(),
        "execution": ExecutionRules(),
        "risk": RiskLimits(),
        "account": AccountParameters(name="test", initial_cash=100_000),
        "backtest": BacktestParameters(),
        "split": SplitParameters(
            train=("2020-06-01", "2021-12-31"), valid=("2022-01-01", "2022-12-30"), test=("2023-01-01", None)
        ),
        "ensemble": EnsembleParameters.model_validate(ensemble),
        **{f"models.{name}": spec for name, spec in models.items()},
    }


@pytest.fixture(scope="session")
def run_in_memory(project_path):
    """Run stages on a market and return a function that loads any of their datasets."""
    bootstrap_project(project_path)

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
        ),
        **given,
    ):
        catalog = DataCatalog({"market_source": Kept(market)})
        catalog["ledger_as_found"] = Kept(())
        catalog["statement_files"] = Kept(())
        catalog["score_file"] = Kept(None)
        catalog["trading_desk"] = Kept(None)
        for name, value in {**parameters(as_of), **given}.items():
            catalog[f"params:{name}"] = Kept(value)
        path = sum((pipelines[stage] for stage in stages[1:]), pipelines[stages[0]])
        for name in path.all_outputs():
            catalog[name] = Kept()
        for model in MODELS:
            catalog[f"{model}.bundle_as_found"] = Kept(None)
            # One store: what training saves as the candidate is loaded as the champion.
            catalog[f"{model}.bundle@candidate"] = catalog[f"{model}.bundle@champion"] = Kept()
        SequentialRunner().run(path, catalog)
        return catalog.load

    return run


@pytest.fixture(scope="session")
def market():
    return small_market().as_of(pd.Timestamp(AS_OF))


@pytest.fixture(scope="session")
def clean_run(run_in_memory, market):
    return run_in_memory(market)
