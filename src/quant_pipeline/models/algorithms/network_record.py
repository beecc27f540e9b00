"""What all networks share: hyper-parameters of the training loop, and the record of the algorithm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models.algorithms.record import Algorithm, SequenceHyper
from quant_pipeline.models.fitted import Samples

if TYPE_CHECKING:
    from torch import nn

    from quant_pipeline.models.networks.scoring import FittedNetwork

Dropout = Annotated[float, Field(ge=0, lt=1)]


class NetworkHyper(SequenceHyper):
    """Hyper-parameters of the training loop of all networks.

    Attributes
    ----------
    window
        Sessions a score looks back over.
    row_sessions
        Sessions that a row of factors holds side by side, as Alpha360 holds 60, each factor of its own from the oldest
        to the newest: the network then reads the newest ``window`` of them, and no earlier row.
    dropout
        Part of the hidden values that training leaves out at random.
    loss
        ``mse``; ``ic`` and ``icir``, the mean correlation of the sessions and its ratio to their deviation;
        ``rank_ic``, the correlation of smoothed ranks.
    epochs
        Most passes over the training segment.
    patience
        Epochs without a better validation rank IC after which training stops.
    batch_sessions
        Consecutive sessions whose whole cross-sections make one step of the optimiser.
    learning_rate
        Step of the AdamW optimiser.
    schedule
        ``cosine`` lets the learning rate fall to zero over all epochs.
    weight_decay
        How far a step pulls weights towards zero.
    gradient_norm
        Norm to which gradients are clipped.
    device
        ``cpu``, ``cuda`` or ``auto``. Scores are computed on the CPU in any case.
    precision
        ``mixed`` multiplies in bfloat16 on an accelerator; without one it changes nothing.
    threads
        CPU threads; part of the model: same seed and number of threads, same network, on however many cores. With more
        than one, instruments are cut into so many groups, each of which a thread computes; of ``tabnet`` these are
        groups of the rows that are normalised together.
    """

    window: PositiveInt = 20
    row_sessions: PositiveInt = 1
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

    @model_serializer(mode="wrap")
    def _leave_out_whole_rows(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write `row_sessions` only where it says something: models of the time before it keep their identity."""
        written: dict[str, Any] = write(self)
        if self.row_sessions == 1:
            written.pop("row_sessions", None)
        return written

    @property
    def panel_window(self) -> int:
        """Rows of an instrument that one score needs."""
        return self.window if self.row_sessions == 1 else 1

    def make_network(self, factors: int) -> nn.Module:
        """Return the network of this size for a number of factors, with new weights; it scores blocks of sessions."""
        raise NotImplementedError

    def make_scorer(self, factors: int) -> nn.Module:
        """Return what scores blocks of rows: the network, which reads rows as windows where they hold several sessions.

        Raises
        ------
        ModelError
            When the factors are no whole number of fields, or the window is longer than a row.
        """
        if self.row_sessions == 1:
            return self.make_network(factors)
        from quant_pipeline.models.networks.folded import fold

        fields, rest = divmod(factors, self.row_sessions)
        if rest:
            raise ModelError(
                f"{factors} factors are no whole number of fields of {self.row_sessions} sessions each "
                "(`hyper.row_sessions`); it fits sets such as alpha360, which has 6 fields of 60"
            )
        return fold(self.make_network(fields), self.row_sessions, self.window)


def network_algorithm(hyper: type[NetworkHyper], of_threads: int = 2) -> Algorithm[NetworkHyper]:
    """Return the record of a network: the training loop that all share, and the network that its block makes.

    Parameters
    ----------
    hyper
        Class of its hyper-parameters.
    of_threads
        Version of what several threads compute. Since 2 these are groups of instruments, of networks of two parts or of
        ghosts since 3; threads had divided single operations. One thread computes what it did in version 1.
    """

    def arithmetic(given: NetworkHyper) -> int:
        return 1 if given.threads == 1 else of_threads

    return Algorithm(hyper, _fit, _load, continue_from=_continue, libraries=("torch",), arithmetic=arithmetic)


def _fit(train: Samples, valid: Samples, hyper: NetworkHyper, seed: int) -> FittedNetwork:
    from quant_pipeline.models.networks.training import fit_network

    return fit_network(train, valid, hyper, seed)


def _continue(previous: FittedNetwork, train: Samples, valid: Samples, hyper: NetworkHyper, seed: int) -> FittedNetwork:
    from quant_pipeline.models.networks.training import fit_network

    return fit_network(train, valid, hyper, seed, previous)


def _load(weights: dict[str, bytes], factors: list[str], hyper: NetworkHyper) -> FittedNetwork:
    from quant_pipeline.models.networks.scoring import load_network

    return load_network(weights, len(factors), hyper)
