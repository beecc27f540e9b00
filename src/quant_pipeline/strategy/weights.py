"""Weights of a portfolio, compiled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.compiled import kernel


@kernel
def cap_weights(weights: npt.NDArray[np.float64], n: int, largest: float) -> None:
    """Scale the first `n` weights to a sum of one with none above `largest`, in place.

    What is cut off a weight goes to those below the cap in proportion. If all are at the cap, or all are zero, the rest
    stays cash.

    Parameters
    ----------
    weights
        Weights, not negative.
    n
        How many count.
    largest
        Largest weight, positive.

    Examples
    --------
    >>> weights = np.array([6.0, 3.0, 1.0])
    >>> cap_weights(weights, 3, 0.5)
    >>> weights.round(3).tolist()
    [0.5, 0.375, 0.125]
    """
    free = 1.0
    n_capped = 0
    while True:
        total = 0.0
        for i in range(n):
            total += weights[i] if weights[i] > 0.0 else 0.0
        scale = free / total if total > 0.0 else 0.0
        n_new = 0
        for i in range(n):
            if weights[i] > 0.0 and weights[i] * scale > largest:
                weights[i] = -1.0  # At the cap: written at the end, out of the sum until then.
                n_new += 1
        n_capped += n_new
        free = max(1.0 - n_capped * largest, 0.0)
        if n_new == 0:
            break
    for i in range(n):
        weights[i] = largest if weights[i] < 0.0 else weights[i] * scale
