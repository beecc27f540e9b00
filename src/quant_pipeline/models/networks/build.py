"""Which network belongs to which hyper-parameters."""

from __future__ import annotations

import torch
from torch import nn

from quant_pipeline.exceptions import ModelError
from quant_pipeline.models.networks.attentive import AttentiveScorer
from quant_pipeline.models.networks.convolutional import ConvolutionalScorer
from quant_pipeline.models.networks.graph import GraphAttentionScorer
from quant_pipeline.models.networks.hyper import (
    ALSTMHyper,
    GATsHyper,
    GRUHyper,
    LocalformerHyper,
    LSTMHyper,
    MLPHyper,
    NetworkHyper,
    RecurrentHyper,
    TCNHyper,
    TRAHyper,
    TransformerHyper,
)
from quant_pipeline.models.networks.perceptron import PerceptronScorer
from quant_pipeline.models.networks.recurrent import AttentiveRecurrentScorer, RecurrentScorer
from quant_pipeline.models.networks.routed import RoutedScorer


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
            return RecurrentScorer(factors, hyper.window, hyper.algorithm, *_size(hyper))
        case ALSTMHyper():
            return AttentiveRecurrentScorer(factors, hyper.window, hyper.unit, *_size(hyper))
        case GATsHyper():
            return GraphAttentionScorer(factors, hyper.window, hyper.unit, *_size(hyper))
        case TRAHyper():
            return RoutedScorer(factors, hyper.window, hyper.unit, *_size(hyper), hyper.patterns, hyper.transport)
        case TCNHyper():
            return ConvolutionalScorer(factors, hyper.channels, hyper.kernel, hyper.levels, hyper.dropout)
        case TransformerHyper():
            kernel = hyper.kernel if isinstance(hyper, LocalformerHyper) else 1
            return AttentiveScorer(
                factors,
                hyper.layers,
                hyper.hidden,
                hyper.heads,
                hyper.span,
                hyper.feedforward,
                hyper.dropout,
                kernel,
            )
    raise ModelError(f"{type(hyper).__name__} describes no network")


def _size(hyper: RecurrentHyper) -> tuple[int, int, float]:
    return hyper.hidden, hyper.layers, hyper.dropout


def score_block(network: nn.Module, block: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """Score a block; only a network that looks across instruments is told who is there.

    Parameters
    ----------
    network
        One that `build_network` made.
    block
        ``(window - 1 + sessions, instruments, factors)``.
    present
        Whether an instrument has a whole window behind it, ``(sessions, instruments)``.
    """
    return network(block, present) if looks_across(network) else network(block)


def looks_across(network: nn.Module) -> bool:
    """Tell whether the score of an instrument depends on the others of its session."""
    return isinstance(network, GraphAttentionScorer)
