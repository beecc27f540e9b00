"""Hyper-parameters of every algorithm, as blocks that refuse what they do not know."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from quant_pipeline.parameters import Parameters

Share = Annotated[float, Field(gt=0, le=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


class LightGBMHyper(Parameters):
    """Hyper-parameters of gradient-boosted trees; names are LightGBM's."""

    algorithm: Literal["lightgbm"] = "lightgbm"
    learning_rate: PositiveFloat = 0.05
    num_leaves: PositiveInt = 31
    min_data_in_leaf: PositiveInt = 200
    feature_fraction: Share = 0.6
    bagging_fraction: Share = 0.7
    lambda_l2: NonNegativeFloat = 10.0
    rounds: PositiveInt = 400
    patience: PositiveInt = 40
    threads: PositiveInt = 2


class RidgeHyper(Parameters):
    """Hyper-parameters of ridge regression; ``alpha`` multiplies the number of rows."""

    algorithm: Literal["ridge"] = "ridge"
    alpha: NonNegativeFloat = 0.01


class NetworkHyper(Parameters):
    """What the training loop of all networks asks for.

    Attributes
    ----------
    window
        Sessions a score looks back over.
    loss
        ``mse``; ``ic`` and ``icir``, the mean correlation of the sessions and its ratio to their deviation;
        ``rank_ic``, the correlation of smoothed ranks.
    epochs, patience
        Most epochs, and epochs without a better validation rank IC after which training stops.
    batch_sessions
        Consecutive sessions whose whole cross-sections make one step of the optimiser.
    learning_rate, schedule, weight_decay, gradient_norm
        Of the AdamW optimiser; ``cosine`` lets the rate fall to zero over all epochs; gradients are clipped to a norm.
    device
        ``cpu``, ``cuda`` or ``auto``. Scores are computed on the CPU in any case.
    precision
        ``mixed`` multiplies in bfloat16 on an accelerator; without one it changes nothing.
    threads
        CPU threads; part of the specification, because results depend on it in the last bits.
    """

    window: PositiveInt = 20
    dropout: Dropout = 0.1
    loss: Literal["mse", "ic", "icir", "rank_ic"] = "mse"
    epochs: PositiveInt = 8
    patience: PositiveInt = 3
    batch_sessions: PositiveInt = 20
    learning_rate: PositiveFloat = 0.002
    schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: NonNegativeFloat = 0.0
    gradient_norm: PositiveFloat = 3.0
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    precision: Literal["full", "mixed"] = "full"
    threads: PositiveInt = 1


class RecurrentHyper(NetworkHyper):
    """Size of a recurrent network; dropout acts on its last output."""

    hidden: PositiveInt = 32
    layers: PositiveInt = 1


class GRUHyper(RecurrentHyper):
    """Hyper-parameters of the gated recurrent unit."""

    algorithm: Literal["gru"] = "gru"


class LSTMHyper(RecurrentHyper):
    """Hyper-parameters of the long short-term memory."""

    algorithm: Literal["lstm"] = "lstm"


class ALSTMHyper(RecurrentHyper):
    """Hyper-parameters of the recurrent network that attends to its own past; ``unit`` is the recurrent unit."""

    algorithm: Literal["alstm"] = "alstm"
    unit: Literal["gru", "lstm"] = "gru"


class MLPHyper(NetworkHyper):
    """Hyper-parameters of the multi-layer perceptron; ``hidden`` is the width of each layer."""

    algorithm: Literal["mlp"] = "mlp"
    window: PositiveInt = 1
    hidden: list[PositiveInt] = Field(default=[64, 32], min_length=1)


class TCNHyper(NetworkHyper):
    """Hyper-parameters of the temporal convolutional network.

    Attributes
    ----------
    channels, kernel, levels
        Size: ``levels`` blocks of two convolutions each, dilated by 1, 2, 4, …
    window
        Follows from the size: ``1 + 2 (kernel - 1) (2^levels - 1)`` sessions.
    """

    algorithm: Literal["tcn"] = "tcn"
    channels: PositiveInt = 32
    kernel: int = Field(default=3, ge=2)
    levels: PositiveInt = 3
    window: PositiveInt = 29

    @model_validator(mode="before")
    @classmethod
    def _follow_the_size(cls, data: dict) -> dict:
        kernel = int(data.get("kernel", cls.model_fields["kernel"].default))
        levels = int(data.get("levels", cls.model_fields["levels"].default))
        reach = 1 + 2 * (kernel - 1) * (2**levels - 1)
        if data.get("window", reach) != reach:
            raise ValueError(f"window of a TCN follows from kernel and levels: it is {reach}; leave it out")
        return {**data, "window": reach}


Hyper = Annotated[
    LightGBMHyper | RidgeHyper | MLPHyper | GRUHyper | LSTMHyper | ALSTMHyper | TCNHyper,
    Field(discriminator="algorithm"),
]
