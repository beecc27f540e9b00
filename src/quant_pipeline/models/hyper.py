"""Hyper-parameters of every algorithm but the networks, and the union of all.

Each block states in ``libraries`` which packages fit the algorithm beside `quant_pipeline.models.libraries.SHARED`; a
bundle records their versions.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from quant_pipeline.models.networks.hyper import (
    ALSTMHyper,
    GATsHyper,
    GRUHyper,
    LocalformerHyper,
    LSTMHyper,
    MLPHyper,
    TCNHyper,
    TRAHyper,
    TransformerHyper,
)
from quant_pipeline.parameters import Parameters

Share = Annotated[float, Field(gt=0, le=1)]


class TreesHyper(Parameters):
    """What all gradient-boosted trees ask for; names are LightGBM's.

    Attributes
    ----------
    rounds, patience
        Most trees, and trees without a better validation error after which training stops.
    threads
        CPU threads.
    """

    learning_rate: PositiveFloat = 0.05
    lambda_l2: NonNegativeFloat = 10.0
    rounds: PositiveInt = 400
    patience: PositiveInt = 40
    threads: PositiveInt = 2


class LeavesHyper(TreesHyper):
    """Shape of LightGBM's trees; names are LightGBM's."""

    libraries: ClassVar[tuple[str, ...]] = ("lightgbm",)
    num_leaves: PositiveInt = 31
    min_data_in_leaf: PositiveInt = 200
    feature_fraction: Share = 0.6
    bagging_fraction: Share = 0.7


class LightGBMHyper(LeavesHyper):
    """Hyper-parameters of LightGBM.

    Attributes
    ----------
    objective
        ``regression``, ``regression_l1`` and ``huber`` look at single labels; ``lambdarank`` and ``rank_xendcg`` at the
        order within a session.
    grades
        Steps into which a ranking objective divides the labels of a session.
    stop_on
        ``loss``: training stops on the error that belongs to the objective; ``rank_ic``: on the validation rank IC.
    """

    algorithm: Literal["lightgbm"] = "lightgbm"
    objective: Literal["regression", "regression_l1", "huber", "lambdarank", "rank_xendcg"] = "regression"
    grades: int = Field(default=5, ge=2, le=31)
    stop_on: Literal["loss", "rank_ic"] = "loss"


class XGBoostHyper(TreesHyper):
    """Hyper-parameters of XGBoost, an optional extra."""

    libraries: ClassVar[tuple[str, ...]] = ("xgboost",)
    algorithm: Literal["xgboost"] = "xgboost"
    max_depth: PositiveInt = 5
    min_child_weight: NonNegativeFloat = 200.0
    column_fraction: Share = 0.6
    row_fraction: Share = 0.7


class CatBoostHyper(TreesHyper):
    """Hyper-parameters of CatBoost, an optional extra."""

    libraries: ClassVar[tuple[str, ...]] = ("catboost",)
    algorithm: Literal["catboost"] = "catboost"
    max_depth: int = Field(default=6, ge=1, le=16)


class DoubleEnsembleHyper(LeavesHyper):
    """Hyper-parameters of DoubleEnsemble (Zhang et al., 2020).

    Attributes
    ----------
    models
        Ensembles of trees that are trained one after the other and averaged.
    reweight, select
        Whether later ones look at other weights of the rows, and at other factors.
    loss_weight, curve_weight
        Of the two reasons to weigh a row: its present error, and how its error fell while learning.
    row_bins, decay
        Groups of rows that share a weight, and how much less the weights differ from model to model.
    factor_shares
        Part of the factors that stay, from the most to the least useful group.
    selection_rows
        Rows on which the use of a factor is measured.
    """

    algorithm: Literal["double_ensemble"] = "double_ensemble"
    models: PositiveInt = 3
    rounds: PositiveInt = 100
    reweight: bool = True
    select: bool = True
    loss_weight: NonNegativeFloat = 1.0
    curve_weight: NonNegativeFloat = 1.0
    row_bins: PositiveInt = 10
    decay: Share = 0.5
    factor_shares: list[Share] = Field(default=[0.8, 0.7, 0.6, 0.5, 0.4], min_length=1)
    selection_rows: PositiveInt = 20_000


class RidgeHyper(Parameters):
    """Hyper-parameters of ridge regression; ``alpha`` multiplies the number of rows."""

    libraries: ClassVar[tuple[str, ...]] = ()
    algorithm: Literal["ridge"] = "ridge"
    alpha: NonNegativeFloat = 0.01


class ElasticNetHyper(Parameters):
    """Hyper-parameters of the elastic net; ``l1_ratio`` 1 is the lasso."""

    libraries: ClassVar[tuple[str, ...]] = ()
    algorithm: Literal["elastic_net"] = "elastic_net"
    alpha: NonNegativeFloat = 0.001
    l1_ratio: float = Field(default=0.5, ge=0, le=1)
    rounds: PositiveInt = 1000


class QlibHyper(Parameters):
    """A model of Qlib by name.

    Attributes
    ----------
    import_path
        Class, ``qlib.contrib.model.gbdt.LGBModel``; only classes within ``qlib`` are made.
    arguments
        Arguments of the class.
    window
        Sessions per row for the models whose module ends with ``_ts``; 1 for all others.
    """

    libraries: ClassVar[tuple[str, ...]] = ("qlib",)
    algorithm: Literal["qlib"] = "qlib"
    import_path: str = Field(pattern=r"^qlib(\.\w+)+$")
    arguments: dict[str, Any] = Field(default_factory=dict)
    window: PositiveInt = 1


Hyper = Annotated[
    LightGBMHyper
    | DoubleEnsembleHyper
    | XGBoostHyper
    | CatBoostHyper
    | RidgeHyper
    | ElasticNetHyper
    | QlibHyper
    | MLPHyper
    | GRUHyper
    | LSTMHyper
    | ALSTMHyper
    | TCNHyper
    | TransformerHyper
    | LocalformerHyper
    | GATsHyper
    | TRAHyper,
    Field(discriminator="algorithm"),
]
