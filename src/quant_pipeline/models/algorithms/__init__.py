"""Algorithms: one record each, found by name; `docs/extending/algorithm.md` adds one from outside of the package."""

from quant_pipeline.models.algorithms.record import Algorithm, HyperParameters, SequenceHyper
from quant_pipeline.models.algorithms.registry import SHIPPED, find_algorithm
from quant_pipeline.models.fitted import FittedModel, Samples, importance_table, learning_curve

__all__ = [
    "SHIPPED",
    "Algorithm",
    "FittedModel",
    "HyperParameters",
    "Samples",
    "SequenceHyper",
    "find_algorithm",
    "importance_table",
    "learning_curve",
]
