"""Methods: which combinations are tried."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import assert_never

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.pipelines.ensemble_search.parameters import EnsembleSearchParameters
from quant_pipeline.pipelines.ensemble_search.trials import Chunk, Members, TrialRunner, Trials

Guide = Callable[[Trials], npt.NDArray[np.float64]]
"""Merit of each trial, from the periods before the first fold only."""

Walk = Generator[Chunk, None, Trials]
"""Yields what was newly backtested and returns everything that was tried."""


def try_combinations(
    runner: TrialRunner, models: list[str], search: EnsembleSearchParameters, guide: Guide, similarity: pd.DataFrame
) -> Walk:
    """Try combinations by the method of the parameters.

    Parameters
    ----------
    runner
        Backtests, or remembers.
    models
        Candidates.
    search
        Method and limits.
    guide
        Merit by which a guided search goes on.
    similarity
        Correlation of the candidates' scores in the periods of the guide.

    Raises
    ------
    ConfigurationError
        If every combination is wanted and they are too many.
    """
    match search.method:
        case "low_correlation":
            return (yield from _join_unlike(runner, models, search, guide, similarity))
        case "greedy":
            return (yield from _grow_best(runner, models, search, guide))
        case "auto" | "every" as method:
            first = list(itertools.islice(allowed_combinations(models, search), search.max_combinations + 1))
            if len(first) <= search.max_combinations:
                return (yield from runner.run(first))
            if method == "auto":
                return (yield from _grow_best(runner, models, search, guide))
            raise ConfigurationError(
                f"There are more than {search.max_combinations} combinations of up to {search.max_models} of "
                f"{len(models)} models. Lower `max_models`, form `families`, raise `max_combinations`, or set `method: "
                "greedy` in parameters_ensemble_search.yml."
            )
        case unknown:
            assert_never(unknown)


def allowed_combinations(models: list[str], search: EnsembleSearchParameters) -> Iterator[Members]:
    """List combinations up to the largest size with at most one member of each family, small ones first."""
    for size in range(1, search.max_models + 1):
        yield from (c for c in itertools.combinations(models, size) if is_allowed(c, search))


def is_allowed(combination: Iterable[str], search: EnsembleSearchParameters) -> bool:
    """Return whether no two members are of one family."""
    families = [family for model in combination if (family := search.family_of(model)) is not None]
    return len(families) == len(set(families))


def _grow_best(runner: TrialRunner, models: list[str], search: EnsembleSearchParameters, guide: Guide) -> Walk:
    """Forward selection: the best of each size grow by every model."""
    tried = yield from runner.run([(model,) for model in models])
    level = tried
    for _ in range(1, search.max_models):
        best = np.argsort(-guide(level), kind="stable")[: search.beam]
        grown = _extensions([level.combinations[index] for index in best], models, search)
        if not grown or len(tried.combinations) + len(grown) > search.max_combinations:
            break
        level = yield from runner.run(grown)
        tried = tried.joined_with(level)
    return tried


def _join_unlike(
    runner: TrialRunner, models: list[str], search: EnsembleSearchParameters, guide: Guide, similarity: pd.DataFrame
) -> Walk:
    """Maximum relevance, minimum redundancy (Peng, Long and Ding, 2005), from every model and for every penalty."""
    singles = yield from runner.run([(model,) for model in models])
    merit = dict(zip((c[0] for c in singles.combinations), guide(singles), strict=True))
    low, high = min(merit.values()), max(merit.values())
    relevance = {model: (value - low) / (high - low) if high > low else 0.0 for model, value in merit.items()}
    found: dict[Members, None] = {}
    for penalty, start in itertools.product(search.penalties, models):
        members: Members = (start,)
        while len(members) < search.max_models:
            grown = _extensions([members], models, search)
            if not grown:
                break

            def gain(candidate: Members, members: Members = members, penalty: float = penalty) -> float:
                (joining,) = set(candidate) - set(members)
                return relevance[joining] - penalty * float(similarity.loc[joining, list(members)].mean())

            members = max(grown, key=gain)
            found[members] = None
    room = max(search.max_combinations - len(singles.combinations), 0)
    rest = yield from runner.run(list(found)[:room])
    return singles.joined_with(rest)


def _extensions(bases: list[Members], models: list[str], search: EnsembleSearchParameters) -> list[Members]:
    grown = {
        tuple(sorted((*base, model))): None
        for base in bases
        for model in models
        if model not in base and is_allowed((*base, model), search)
    }
    return list(grown)
