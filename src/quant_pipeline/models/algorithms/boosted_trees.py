"""Hyper-parameters that all gradient-boosted trees have in common."""

from __future__ import annotations

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from quant_pipeline.models.algorithms.record import HyperParameters, Share


class TreesHyper(HyperParameters):
    """Hyper-parameters of all gradient-boosted trees; names are LightGBM's.

    Attributes
    ----------
    learning_rate
        Part of each new tree that is added.
    lambda_l2
        Penalty on the squares of the values in leaves.
    rounds
        Most trees.
    patience
        Trees without a better validation error after which training stops.
    threads
        CPU threads.
    """

    learning_rate: PositiveFloat = 0.05
    lambda_l2: NonNegativeFloat = 10.0
    rounds: PositiveInt = 400
    patience: PositiveInt = 40
    threads: PositiveInt = 2


class LeavesHyper(TreesHyper):
    """Shape of LightGBM's trees; names are LightGBM's.

    Attributes
    ----------
    num_leaves
        Most leaves of a tree.
    min_data_in_leaf
        Fewest rows of a leaf.
    feature_fraction, bagging_fraction
        Part of the factors, and of the rows, that a tree sees.
    """

    num_leaves: PositiveInt = 31
    min_data_in_leaf: PositiveInt = 200
    feature_fraction: Share = 0.6
    bagging_fraction: Share = 0.7
