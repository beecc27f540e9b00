"""Parameters and the market with which the whole path runs in memory: a dozen instruments over four years."""

from kedro.io import MemoryDataset

from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.factors.feature_sets import FeatureSet
from quant_pipeline.market.delistings import EndedBars
from quant_pipeline.market.quality import QualityParameters
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
from quant_pipeline.market.universe import UniverseParameters
from quant_pipeline.models.date_splits import SplitParameters
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.pipelines.backtest.parameters import BacktestParameters
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.pipelines.ranking.parameters import RankingParameters
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules
from quant_pipeline.trading.orders.risk_limits import RiskLimits
from quant_pipeline.trading.statements import StatementImportParameters

AS_OF = "2023-12-29"
FACTORS = ["KMID", "KSFT", "ROC5", "MA10", "STD20", "RSV10", "CORD10", "VMA5", "CNTD20", "RESI10"]
MODELS = {
    "lightgbm_alpha158": {"algorithm": "lightgbm", "hyper": {"rounds": 20, "min_data_in_leaf": 50, "threads": 1}},
    "ridge_alpha158": {"algorithm": "ridge"},
    "gru_alpha158": {"algorithm": "gru", "hyper": {"window": 5, "hidden": 8, "epochs": 1, "threads": 1}},
}


class Kept(MemoryDataset):
    """Keeps its data when the runner releases them."""

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
            "all_icir": {"models": list(MODELS), "member_weights": "icir"},
            "all_equal": {"models": list(MODELS)},
        },
    }
    return {
        "as_of": as_of,
        "quality": QualityParameters(),
        "ended_bars": EndedBars(),
        "universe": UniverseParameters(min_listing_sessions=60),
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
        "ranking": RankingParameters(),
        "split": SplitParameters(
            train=("2020-06-01", "2021-12-31"), valid=("2022-01-01", "2022-12-30"), test=("2023-01-01", None)
        ),
        "ensemble": EnsembleParameters.model_validate(ensemble),
        **{f"models.{name}": spec for name, spec in models.items()},
    }


def inputs_of_training(made):
    """Return what a node that trains the ridge takes, with the tables that a run has made."""
    given = parameters(AS_OF)
    return {
        "features": made("alpha158_features"),
        **{name: made(name) for name in ("labels", "universe_members", "sessions")},
        "spec": given["models.ridge_alpha158"],
        "feature_set": given["feature_sets.alpha158"],
        **{name: given[name] for name in ("label", "market_rules")},
    }
