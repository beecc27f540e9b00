"""What a model learns must be the return that it says it predicts."""

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.datasets.atomic import ParquetTable
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors.feature_sets import FeatureSet
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.pipelines.features.nodes import LabelParameters, compute_labels
from quant_pipeline.pipelines.training.records import ModelSetting, TrainingData

DAYS = pd.DatetimeIndex(["2024-12-23", "2024-12-24", "2024-12-26", "2024-12-27"])


def setting(horizon=1, deal_price="open"):
    spec = ModelSpec.model_validate({"features": "alpha158", "algorithm": "ridge"})
    rules = MarketRules(deal_price=deal_price)
    return ModelSetting(spec, FeatureSet(library="alpha158"), LabelParameters(horizon=horizon), rules)


@pytest.fixture
def data(tmp_path):
    """Labels from open to open, as the catalog gives them back."""
    prices = pd.DataFrame({"date": DAYS, "instrument": "A", "open": [10.0, 10.0, 11.0, 11.0]})
    bars = prices.assign(high=12.0, low=9.0, close=10.0, volume=100.0, vwap=10.0, factor=1.0)
    actions = pd.DataFrame({"date": DAYS[:0], "instrument": [], "kind": [], "value": []}).astype(
        {"instrument": "str", "kind": "str", "value": "float64"}
    )
    sessions = pd.DataFrame({"date": DAYS})
    dataset = ParquetTable(filepath=str(tmp_path / "labels.parquet"))
    dataset.save(compute_labels(bars, actions, sessions, LabelParameters(), MarketRules()))
    members = pd.DataFrame({"date": DAYS, "instrument": "A"})
    return TrainingData(pd.DataFrame(), dataset.load(), members, sessions)


def test_labels_of_the_configured_price_and_horizon_are_learnt(data):
    assert setting().labels_of(data).tolist()[:2] == pytest.approx([0.1, 0.0])


@pytest.mark.parametrize("changed", [{"deal_price": "close"}, {"horizon": 5}])
def test_labels_of_another_price_or_horizon_are_refused(data, changed):
    with pytest.raises(ConfigurationError, match=r"the labels are Ref\(\$open, -2\).*--pipelines features,training"):
        setting(**changed).labels_of(data)
