"""What each model adds to the *returns* of the combinations it is part of.

The value of a combination is the excess return of its exact backtest; that of the empty one is the return of a
strategy on random scores. Values are sums of returns per period, and every attribution is linear in them, so that it
comes with an error. Returns of an account are those of single sessions and do not overlap, whatever the horizon of the
labels; periods of a month or so are taken as independent.

Source: Shapley, *A Value for n-Person Games* (1953).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.market.clock import SESSIONS_PER_YEAR

Members = frozenset[str]


class CombinationValues:
    """Values of combinations, found by their members.

    Parameters
    ----------
    combinations
        Members of each combination.
    period_values
        Combinations × periods: sum of the excess returns of the period's sessions.
    empty
        The same of the strategy that knows nothing, per period.
    sessions
        Sessions of each period.
    """

    def __init__(
        self,
        combinations: Sequence[Collection[str]],
        period_values: npt.NDArray[np.float64],
        empty: npt.NDArray[np.float64],
        sessions: npt.NDArray[np.int64],
    ) -> None:
        self._rows: dict[Members, npt.NDArray[np.float64]] = {
            frozenset(members): values for members, values in zip(combinations, period_values, strict=True)
        }
        self._rows[frozenset()] = empty
        self._sessions = sessions

    @property
    def models(self) -> list[str]:
        """Every model of any combination, sorted."""
        return sorted(frozenset().union(*self._rows))

    def shapley(self) -> pd.DataFrame:
        """Attribute returns to models by their mean marginal contribution.

        For every model: over the combinations without it, how much the value changes when it joins, averaged within
        each size first and then over sizes. When every combination was tried this is the Shapley value and the values
        add up to the value of all models together, minus the empty one. When some were not, it is the same mean
        over those pairs that were, and `pairs` counts them.

        Returns
        -------
        pandas.DataFrame
            Indexed by model: ``value`` (annualised), ``standard_error`` and ``t`` (from the periods, taken as
            independent), ``pairs``.
        """
        rows = {model: self._mean_marginal(model) for model in self.models}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")

    def leave_one_out(self, chosen: Collection[str]) -> pd.DataFrame:
        """Compare one combination with what is left of it without each of its members.

        Returns
        -------
        pandas.DataFrame
            Indexed by model, columns as of :meth:`shapley`; missing where the rest was not tried.
        """
        whole = frozenset(chosen)
        rows = {}
        for model in sorted(whole):
            rest = self._rows.get(whole - {model})
            rows[model] = self._measure(None if rest is None else self._rows[whole] - rest, 0 if rest is None else 1)
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")

    def _mean_marginal(self, model: str) -> dict[str, float]:
        by_size: dict[int, tuple[npt.NDArray[np.float64], int]] = {}
        for members, value in self._rows.items():
            rest = members - {model}
            if model not in members or rest not in self._rows:
                continue
            total, count = by_size.get(len(members), (np.zeros_like(value), 0))
            by_size[len(members)] = total + value - self._rows[rest], count + 1
        means = [total / count for total, count in by_size.values()]
        return self._measure(np.mean(means, axis=0) if means else None, sum(count for _, count in by_size.values()))

    def _measure(self, contribution: npt.NDArray[np.float64] | None, pairs: int) -> dict[str, float]:
        missing = float("nan")
        if contribution is None:
            return {"value": missing, "standard_error": missing, "t": missing, "pairs": pairs}
        yearly = SESSIONS_PER_YEAR / self._sessions.sum()
        value = float(contribution.sum() * yearly)
        error = (
            float(contribution.std(ddof=1) * np.sqrt(len(contribution)) * yearly) if len(contribution) > 1 else missing
        )
        return {"value": value, "standard_error": error, "t": value / error if error > 0 else missing, "pairs": pairs}
