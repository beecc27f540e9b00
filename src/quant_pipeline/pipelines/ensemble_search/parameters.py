"""What is searched, how, and how it is judged."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from quant_pipeline.common.parameters import Parameters

Method = Literal["auto", "every", "greedy", "low_correlation"]


class EnsembleSearchParameters(Parameters):
    """The ``ensemble_search`` block of the parameters.

    Attributes
    ----------
    models
        Candidates; None takes every enabled model.
    families
        Name to models of which a combination may hold at most one; models of no family are free.
    method
        ``every`` combination up to `max_models`; ``greedy``: the best combinations of each size grow by one model;
        ``low_correlation``: good models are joined by those least like them; ``auto``: every, or greedy when there
        are more than `max_combinations`.
    min_models, max_models
        Fewest and most models of a combination that takes part in the search. Smaller ones are backtested all the same,
        for the attribution to models.
    max_combinations
        Largest number of combinations that may be backtested.
    beam
        ``greedy``: how many combinations of each size grow on.
    penalties
        ``low_correlation``: weights of similarity against merit; each gives another path.
    average_phases
        Whether to backtest a weekly or every-n-sessions strategy in all its phases and average.
    period_sessions
        Sessions of a period; everything below counts in periods.
    first_training_periods
        Periods before the first fold. A guided search is guided by these only, so that no fold is known to it.
    fold_periods
        Periods of a fold.
    embargo_periods
        Periods between ranking and measuring; they must cover the label.
    holdout_periods
        Last periods, which no ranking, search or test sees; only the finalists are shown on them.
    overfitting_blocks
        Even number of blocks for the probability of backtest overfitting.
    bootstrap_repeats
        Samples of the tests of White and Hansen.
    uninformed_draws
        Random scores that are backtested too; their mean is what no information earns.
    finalists
        How many of the best are shown in full.
    threads
        Threads of the backtests; the result does not depend on it.
    seed
        Seed of random scores and bootstrap.
    analysis_only
        Whether to judge what was backtested before and backtest nothing.
    """

    renamed: ClassVar[Mapping[str, str]] = {
        "largest": "max_models",
        "smallest": "min_models",
        "max_size": "max_models",
        "min_size": "min_models",
        "most_combinations": "max_combinations",
    }

    models: list[str] | None = None
    families: dict[str, list[str]] = Field(default_factory=dict)
    method: Method = "auto"
    min_models: PositiveInt = 1
    max_models: PositiveInt = 6
    max_combinations: PositiveInt = 25_000
    beam: PositiveInt = 8
    penalties: tuple[NonNegativeFloat, ...] = (0.0, 0.5, 1.0, 2.0)
    average_phases: bool = True
    period_sessions: PositiveInt = 5
    first_training_periods: PositiveInt = 50
    fold_periods: PositiveInt = 12
    embargo_periods: PositiveInt = 1
    holdout_periods: NonNegativeInt = 25
    overfitting_blocks: PositiveInt = Field(default=16, multiple_of=2)
    bootstrap_repeats: PositiveInt = 1_000
    uninformed_draws: PositiveInt = 16
    finalists: PositiveInt = 10
    threads: PositiveInt = 2
    seed: int = 7
    analysis_only: bool = False

    @model_validator(mode="after")
    def _sizes_are_in_order(self) -> Self:
        if self.min_models > self.max_models:
            raise ValueError(f"min_models ({self.min_models}) must not be above max_models ({self.max_models})")
        return self

    @model_validator(mode="after")
    def _families_do_not_overlap(self) -> Self:
        members = [model for family in self.families.values() for model in family]
        doubled = sorted({model for model in members if members.count(model) > 1})
        if doubled:
            raise ValueError(f"{doubled} are in two families; a model belongs to one at most")
        return self

    def family_of(self, model: str) -> str | None:
        """Return the family of a model, None if it is free."""
        return next((name for name, members in self.families.items() if model in members), None)
