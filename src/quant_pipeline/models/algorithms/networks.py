"""Hyper-parameters of the networks, MLP to TRA, TabNet and SFM: the size of each, and the network of that size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from quant_pipeline.models.algorithms.network_record import Dropout, NetworkHyper, network_algorithm

if TYPE_CHECKING:
    from torch import nn


class DividedHyper(NetworkHyper):
    """Hyper-parameters of a network of which two groups of instruments, sessions or rows learn at the same time."""

    threads: PositiveInt = 2


class RecurrentHyper(DividedHyper):
    """Size of a recurrent network; dropout acts on its last output.

    Attributes
    ----------
    hidden
        Width of the recurrent unit.
    layers
        Recurrent layers on top of each other.
    """

    hidden: PositiveInt = 32
    layers: PositiveInt = 1

    @property
    def size(self) -> tuple[int, int, float]:
        """Width, layers and dropout, as recurrent networks take them."""
        return self.hidden, self.layers, self.dropout


class GRUHyper(RecurrentHyper):
    """Hyper-parameters of the gated recurrent unit."""

    def make_network(self, factors: int) -> nn.Module:
        """Return the network."""
        from quant_pipeline.models.networks.recurrent import RecurrentScorer

        return RecurrentScorer(factors, self.window, "gru", *self.size)


GRU = network_algorithm(GRUHyper)


class LSTMHyper(RecurrentHyper):
    """Hyper-parameters of the long short-term memory."""

    def make_network(self, factors: int) -> nn.Module:
        """Return the network."""
        from quant_pipeline.models.networks.recurrent import RecurrentScorer

        return RecurrentScorer(factors, self.window, "lstm", *self.size)


LSTM = network_algorithm(LSTMHyper)


class ALSTMHyper(RecurrentHyper):
    """Hyper-parameters of the recurrent network that attends to its own past.

    Attributes
    ----------
    unit
        Recurrent unit.
    """

    unit: Literal["gru", "lstm"] = "gru"

    def make_network(self, factors: int) -> nn.Module:
        """Return the network."""
        from quant_pipeline.models.networks.recurrent import AttentiveRecurrentScorer

        return AttentiveRecurrentScorer(factors, self.window, self.unit, *self.size)


ALSTM = network_algorithm(ALSTMHyper)


class MLPHyper(DividedHyper):
    """Hyper-parameters of the multi-layer perceptron.

    Attributes
    ----------
    hidden
        Width of each layer.
    """

    window: PositiveInt = 1
    hidden: list[PositiveInt] = Field(default=[64, 32], min_length=1)

    def make_network(self, factors: int) -> nn.Module:
        """Return the network."""
        from quant_pipeline.models.networks.perceptron import PerceptronScorer

        return PerceptronScorer(factors, self.window, self.hidden, self.dropout)


MLP = network_algorithm(MLPHyper)


class ReachingHyper(DividedHyper):
    """A network whose window follows from its size; naming another one is an error."""

    @model_validator(mode="before")
    @classmethod
    def _follow_the_size(cls, data: dict[str, Any]) -> dict[str, Any]:
        size = {name: field.default for name, field in cls.model_fields.items()} | data
        try:
            window = cls._reach(size)
        except (TypeError, ValueError, KeyError):
            return data  # A wrong type is reported with the name of its field.
        if data.get("window", window) != window:
            raise ValueError(f"the window follows from the size of the network: it is {window}; leave it out")
        return {**data, "window": window}

    @classmethod
    def _reach(cls, size: dict[str, Any]) -> int:
        raise NotImplementedError


class TCNHyper(ReachingHyper):
    """Hyper-parameters of the temporal convolutional network.

    Attributes
    ----------
    channels, kernel, levels
        Size: ``levels`` blocks of two convolutions each, dilated by 1, 2, 4, …
    window
        ``1 + 2 (kernel - 1) (2^levels - 1)`` sessions.
    """

    channels: PositiveInt = 32
    kernel: int = Field(default=3, ge=2)
    levels: int = Field(default=3, ge=1, le=8)

    @classmethod
    def _reach(cls, size: dict[str, Any]) -> int:
        return 1 + 2 * (int(size["kernel"]) - 1) * (2 ** min(int(size["levels"]), 8) - 1)

    def make_network(self, factors: int) -> nn.Module:
        """Return the network."""
        from quant_pipeline.models.networks.convolutional import ConvolutionalScorer

        return ConvolutionalScorer(factors, self.channels, self.kernel, self.levels, self.dropout)


TCN = network_algorithm(TCNHyper)


class TransformerHyper(ReachingHyper):
    """Hyper-parameters of the transformer.

    Attributes
    ----------
    hidden, heads, feedforward
        Width of the network, attention heads (their number divides ``hidden``), width of the inner layers.
    layers
        Attention layers on top of each other.
    span
        Sessions that one layer looks back over.
    window
        ``1 + layers (span - 1)`` sessions.
    """

    hidden: PositiveInt = 32
    heads: PositiveInt = 2
    layers: PositiveInt = 2
    feedforward: PositiveInt = 128
    span: int = Field(default=11, ge=2)

    @model_validator(mode="after")
    def _divide_by_heads(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide hidden ({self.hidden})")
        return self

    @classmethod
    def _reach(cls, size: dict[str, Any]) -> int:
        return 1 + int(size["layers"]) * (int(size["span"]) - 1)

    def make_network(self, factors: int) -> nn.Module:
        """Return the network."""
        from quant_pipeline.models.networks.attentive import AttentiveScorer

        return AttentiveScorer(
            factors,
            self.layers,
            self.hidden,
            self.heads,
            self.span,
            self.feedforward,
            self.dropout,
            self._kernel_of_convolution(),
        )

    def _kernel_of_convolution(self) -> int:
        return 1


TRANSFORMER = network_algorithm(TransformerHyper)


class LocalformerHyper(TransformerHyper):
    """Hyper-parameters of the transformer with local convolutions.

    Attributes
    ----------
    kernel
        Sessions of the convolution before the attention of each layer.
    window
        ``1 + layers (span + kernel - 2)`` sessions.
    """

    span: int = Field(default=9, ge=2)
    kernel: int = Field(default=3, ge=2)

    @classmethod
    def _reach(cls, size: dict[str, Any]) -> int:
        return 1 + int(size["layers"]) * (int(size["span"]) + int(size["kernel"]) - 2)

    def _kernel_of_convolution(self) -> int:
        return self.kernel


LOCALFORMER = network_algorithm(LocalformerHyper)


class GATsHyper(RecurrentHyper):
    """Hyper-parameters of the graph attention network.

    Attributes
    ----------
    unit
        Recurrent unit below the attention.
    """

    unit: Literal["gru", "lstm"] = "gru"

    def make_network(self, factors: int) -> nn.Module:
        """Return the network."""
        from quant_pipeline.models.networks.graph import GraphAttentionScorer

        return GraphAttentionScorer(factors, self.window, self.unit, *self.size)


GATS = network_algorithm(GATsHyper, of_threads=3)


class TRAHyper(RecurrentHyper):
    """Hyper-parameters of the temporal routing adaptor.

    Attributes
    ----------
    unit
        Recurrent unit below the heads.
    patterns
        Heads between which the router chooses.
    transport
        Weight of the optimal transport that teaches the router.
    """

    unit: Literal["gru", "lstm"] = "gru"
    patterns: int = Field(default=3, ge=2)
    transport: NonNegativeFloat = 0.05

    def make_network(self, factors: int) -> nn.Module:
        """Return the network."""
        from quant_pipeline.models.networks.routed import RoutedScorer

        return RoutedScorer(factors, self.window, self.unit, *self.size, self.patterns, self.transport)


TRA = network_algorithm(TRAHyper, of_threads=3)


class TabNetHyper(DividedHyper):
    """Hyper-parameters of the network that chooses its factors (TabNet).

    Attributes
    ----------
    decision, attention
        Width of what a step decides, and of what it hands to the choice of the next step.
    steps
        Choices of factors after each other.
    shared, own
        Layers of a step whose weights all steps share, and layers of its own.
    relaxation
        1 lets a factor be chosen in one step only; the more, the oftener.
    sparsity
        Weight of the entropy of the choices in the loss.
    ghost_rows
        Rows that are normalised together while learning, at least.
    """

    window: PositiveInt = 1
    dropout: Dropout = 0.0
    decision: PositiveInt = 16
    attention: PositiveInt = 16
    steps: PositiveInt = 3
    shared: PositiveInt = 2
    own: NonNegativeInt = 2
    relaxation: float = Field(default=1.3, ge=1)
    sparsity: NonNegativeFloat = 0.001
    ghost_rows: PositiveInt = 512

    def make_network(self, factors: int) -> nn.Module:
        """Return the network."""
        from quant_pipeline.models.networks.tabular import TabularScorer, TabularSize

        size = TabularSize(
            self.decision, self.attention, self.steps, self.shared, self.own, self.relaxation, self.ghost_rows
        )
        return TabularScorer(factors, self.window, size, self.dropout, self.sparsity)


TABNET = network_algorithm(TabNetHyper, of_threads=3)


class SFMHyper(DividedHyper):
    """Hyper-parameters of the state frequency memory.

    Attributes
    ----------
    hidden
        States of the memory.
    frequencies
        Frequencies that each state is kept at.
    """

    hidden: PositiveInt = 32
    frequencies: PositiveInt = 8

    def make_network(self, factors: int) -> nn.Module:
        """Return the network."""
        from quant_pipeline.models.networks.frequency import FrequencyScorer

        return FrequencyScorer(factors, self.window, self.hidden, self.frequencies, self.dropout)


SFM = network_algorithm(SFMHyper)
