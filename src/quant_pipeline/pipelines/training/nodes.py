"""Nodes of training; each runs once per registered model, in the model's namespace."""

import pandas as pd

from quant_pipeline.evaluation.information_coefficient import information_coefficients, summarise
from quant_pipeline.factors.feature_sets import FeatureSet
from quant_pipeline.factors.labels import label_expression
from quant_pipeline.models.bundle import ModelBundle
from quant_pipeline.models.cross_validation import SplitParameters
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.models.training import train_bundle
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.strategy.rules import MarketRules
