"""Which network belongs to which hyper-parameters."""

from __future__ import annotations

from torch import nn

from quant_pipeline.exceptions import ModelError
from quant_pipeline.models.hyper import (
    ALSTMHyper,
    GRUHyper,
    LSTMHyper,
    MLPHyper,
    NetworkHyper,
    TCNHyper,
)
from quant_pipeline.models.networks.convolutional import ConvolutionalScorer
from quant_pipeline.models.networks.perceptron import PerceptronScorer
from quant_pipeline.models.networks.recurrent import AttentiveRecurrentScorer, RecurrentScorer


def build_network(factors: int, hyper: NetworkHyper) -> nn.Module:
    """Make the network with new weights; it maps blocks of sessions to scores.

    Raises
    ------
    ModelError
        When the hyper-parameters belong to no network.
    """
    match hyper:
        case MLPHyper():
            return PerceptronScorer(factors, hyper.window, hyper.hidden, hyper.dropout)
        case GRUHyper() | LSTMHyper():
            return RecurrentScorer(factors, hyper.window, hyper.algorithm, hyper.hidden, hyper.layers, hyper.dropout)
        case ALSTMHyper():
            return AttentiveRecurrentScorer(
                factors, hyper.window, hyper.unit, hyper.hidden, hyper.layers, hyper.dropout
            )
        case TCNHyper():
            return ConvolutionalScorer(factors, hyper.channels, hyper.kernel, hyper.levels, hyper.dropout)
    raise ModelError(f"{type(hyper).__name__} describes no network")
