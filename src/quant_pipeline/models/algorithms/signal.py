"""Signals as models: the score is a factor itself, so there is nothing to learn."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt

from quant_pipeline.models.algorithms.record import Algorithm, HyperParameters
from quant_pipeline.models.fitted import Samples, importance_table, learning_curve

WEIGHTS = "signal.json"


class SignalHyper(HyperParameters):
    """A signal has no hyper-parameters: its formula is an expression, and its parameters stand there."""


class Signal:
    """The first factor of the model is its score.

    Parameters
    ----------
    factor
        Name of the factor.
    """

    def __init__(self, factor: str) -> None:
        self._factor = factor
        self.curve = learning_curve([])
        self.importance = importance_table([factor], [1.0])

    def predict(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Score rows; a row whose factor is missing or infinite has no score."""
        scores = np.empty(len(samples.rows))
        for part, values in samples.blocks():
            scores[part] = np.where(np.isfinite(values[:, 0]), values[:, 0].astype(np.float64), np.nan)
        return scores

    def weights(self) -> dict[str, bytes]:
        """Return the name of the factor."""
        return {WEIGHTS: json.dumps({"factor": self._factor}).encode()}


def fit_signal(train: Samples, valid: Samples, hyper: SignalHyper, seed: int = 0) -> Signal:
    """Take the first factor as it is; arguments as of `Algorithm.fit`, and no row is looked at."""
    return Signal(train.factors[0])


def load_signal(weights: dict[str, bytes], factors: list[str], hyper: HyperParameters) -> Signal:
    """Make the signal again."""
    return Signal(str(json.loads(weights[WEIGHTS])["factor"]))


SIGNAL = Algorithm(SignalHyper, fit_signal, load_signal, processors=())
