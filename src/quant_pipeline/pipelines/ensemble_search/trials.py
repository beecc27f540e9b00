"""Trials: exact backtests of combinations, averaged over rebalance phases, and remembered by content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.backtest.combination_engine import FIGURES, CombinationSearch, run_combinations
from quant_pipeline.backtest.weight_multipliers import preferences
from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.common.progress import track
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.strategy.schedule import Schedule
from quant_pipeline.strategy.terms import strategy_terms

Members = tuple[str, ...]
Chunk = dict[str, pd.DataFrame]
LazyChunks = Mapping[str, Callable[[], pd.DataFrame]]

_CHUNK = 1_024


@dataclass(frozen=True)
class Trials:
    """Results of combinations.

    Attributes
    ----------
    combinations
        Names of the members.
    figures
        One row per combination, columns of :data:`~quant_pipeline.backtest.combination_engine.FIGURES`; means over the
        rebalance phases.
    period_sums
        Combinations × periods × (sum, sum of squares) of excess returns; means over the phases.
    """

    combinations: list[Members]
    figures: pd.DataFrame
    period_sums: npt.NDArray[np.float64]

    def of_size(self, smallest: int) -> Trials:
        """Leave out combinations of fewer members.

        Raises
        ------
        ConfigurationError
            When none is left.
        """
        chosen = [place for place, members in enumerate(self.combinations) if len(members) >= smallest]
        if not chosen:
            raise ConfigurationError(
                f"no combination of at least {smallest} models was tried; lower `min_models` or enable more models "
                "(parameters_ensemble_search.yml)"
            )
        if len(chosen) == len(self.combinations):
            return self
        kept = [self.combinations[place] for place in chosen]
        return Trials(kept, self.figures.iloc[chosen].reset_index(drop=True), self.period_sums[chosen])

    def joined_with(self, other: Trials) -> Trials:
        """Put other combinations behind these."""
        return Trials(
            self.combinations + other.combinations,
            pd.concat([self.figures, other.figures], ignore_index=True),
            np.concatenate([self.period_sums, other.period_sums]),
        )


def rules_of_phases(rules: StrategyRules, average: bool) -> list[StrategyRules]:
    """List the strategy in every phase of its schedule; a daily one has a single phase."""
    schedule = rules.schedule
    phases = {"daily": 1, "weekly": 5, "every_n_sessions": schedule.sessions}[schedule.frequency]
    if not average or phases == 1:
        return [rules]
    return [
        rules.model_copy(update={"schedule": Schedule.model_validate({**schedule.model_dump(), "phase": phase})})
        for phase in range(phases)
    ]


class TrialRunner:
    """Runs combinations, or takes their results from what was run before.

    A result is known by the content of everything that it follows from: scores of the members, market, rules, costs,
    cash, benchmark, periods, and the code of strategy and backtest. A further model leaves the others' results valid.

    Parameters
    ----------
    search
        Scores of `names` and everything around them.
    names
        Of the models, as the scores are ordered.
    phases
        The strategy in each phase to average over.
    chunks
        Results of earlier runs; those of this foundation are loaded.
    may_run
        Whether an unknown combination is backtested; otherwise it is an error.
    n_threads
        Threads.
    """

    def __init__(
        self,
        search: CombinationSearch,
        names: Sequence[str],
        phases: Sequence[StrategyRules],
        chunks: LazyChunks,
        may_run: bool = True,
        n_threads: int = 1,
    ) -> None:
        self._search = search
        self._numbers = {name: number for number, name in enumerate(names)}
        self._phases = phases
        self._may_run = may_run
        self._n_threads = n_threads
        self._digests = [_digest(np.ascontiguousarray(scores).tobytes()) for scores in search.scores]
        self.foundation = foundation_of(search, phases)
        self._known: dict[str, npt.NDArray[np.float64]] = {}
        for key, load in chunks.items():
            if key.startswith(f"{self.foundation}/"):
                self._remember(load())

    def run(self, combinations: Sequence[Members]) -> Generator[Chunk, None, Trials]:
        """Yield chunks of new results and return the results of all.

        Parameters
        ----------
        combinations
            Names of the members.

        Raises
        ------
        StaleDataError
            If a result is unknown and nothing may be run.
        """
        unknown = [members for members in combinations if self._key(members) not in self._known]
        if unknown and not self._may_run:
            raise StaleDataError(
                f"{len(unknown)} of {len(combinations)} combinations have not been backtested on these scores and "
                "rules. Run `kedro run --pipelines ensemble_search` without `analysis_only` first."
            )
        parts = [unknown[start : start + _CHUNK] for start in range(0, len(unknown), _CHUNK)]
        for part in track(parts, "backtesting combinations by the thousand"):
            table = self._backtest(part)
            self._remember(table)
            yield {f"{self.foundation}/{_digest(*(key.encode() for key in table.index))}": table}
        rows = [self._known[self._key(members)] for members in combinations]
        values = np.array(rows).reshape(len(rows), -1)
        return Trials(
            list(combinations),
            pd.DataFrame(values[:, : len(FIGURES)], columns=list(FIGURES)),
            values[:, len(FIGURES) :].reshape(len(rows), -1, 2),
        )

    def _backtest(self, combinations: Sequence[Members]) -> pd.DataFrame:
        numbered = [tuple(sorted(self._numbers[name] for name in members)) for members in combinations]
        total: npt.NDArray[np.float64] | float = 0.0
        for rules in self._phases:
            results = run_combinations(replace(self._search, rules=rules), numbered, self._n_threads)
            sums = results.period_sums.reshape(len(results.combinations), -1)
            total = total + np.column_stack([results.figures.to_numpy(), sums])
        keys = [self._key_of_numbers(numbers) for numbers in results.combinations]
        table = pd.DataFrame(np.asarray(total) / len(self._phases), index=pd.Index(keys, name="key", dtype="str"))
        return table.set_axis([*FIGURES, *(f"period_{index}" for index in range(sums.shape[1]))], axis=1)

    def _remember(self, chunk: pd.DataFrame) -> None:
        self._known.update(zip(chunk.index, chunk.to_numpy(), strict=True))

    def _key(self, members: Members) -> str:
        return self._key_of_numbers([self._numbers[name] for name in members])

    def _key_of_numbers(self, numbers: Sequence[int]) -> str:
        return _digest(*sorted(self._digests[number].encode() for number in numbers))


def foundation_of(search: CombinationSearch, phases: Sequence[StrategyRules]) -> str:
    """Digest everything but the scores that a result follows from."""
    market = search.market
    actions = market.arrays.actions
    arrays = [*(array for array in market.arrays if array is not actions), *actions]
    optional = [value for value in (search.benchmark_returns, search.period_of_session) if value is not None]
    if market.history is not None:
        optional.append(preferences(market, search.rules))
    if search.rules.needs_classification:
        known = strategy_terms(search.rules, market.rules, market.instruments, market.classification).portfolio
        optional += [known.sector.astype(np.int64), known.company.astype(np.int64)]
    rules = [market.rules, search.cost_rules, *phases]
    return _digest(
        _code(),
        market.sessions.to_numpy().tobytes(),
        "\n".join(market.instruments).encode(),
        *(np.ascontiguousarray(array).tobytes() for array in (*arrays, *optional)),
        *(block.model_dump_json().encode() for block in rules),
        str(search.initial_cash).encode(),
    )


def _code() -> bytes:
    """Return the source of what decides and executes: a corrected engine makes old results worthless."""
    rooms = (files(f"quant_pipeline.{room}") for room in ("exchange", "strategy", "backtest"))
    modules = [module for room in rooms for module in room.iterdir() if module.name.endswith(".py")]
    return b"".join(module.read_bytes() for module in sorted(modules, key=lambda module: module.name))


def _digest(*parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=10)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
