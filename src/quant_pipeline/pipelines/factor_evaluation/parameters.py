"""Parameters of factor evaluation."""

from typing import Literal

import pandas as pd
from pydantic import Field, PositiveInt, model_validator

from quant_pipeline.common.listing import first_of
from quant_pipeline.evaluation.factor_scores import ScoringParameters


class FactorEvaluationParameters(ScoringParameters):
    """The ``factor_evaluation`` block of the parameters.

    Attributes
    ----------
    expression
        One factor in Qlib's language.
    feature_set
        A configured feature set, or a shipped library.
    factor_file
        Parquet file of precomputed factors. Any of these three may be given, together they are one set; with none of
        them the known factors are evaluated.
    start, end
        First and last session of the evaluation; None is the whole history.
    known_factors
        Name to expression: what everybody knows already, to compare with.
    size_factor
        The known factor that stands for size when scores are asked for net of it.
    correlation_sessions
        Most sessions that correlations between factors are averaged over.
    """

    expression: str | None = None
    feature_set: str | None = None
    factor_file: str | None = None
    start: str | None = None
    end: str | None = None
    known_factors: dict[str, str] = Field(min_length=1)
    size_factor: str
    correlation_sessions: PositiveInt = 250

    @model_validator(mode="after")
    def _size_is_known(self) -> "FactorEvaluationParameters":
        if self.size_factor not in self.known_factors:
            raise ValueError(
                f"size_factor '{self.size_factor}' is none of known_factors {first_of(self.known_factors)}"
            )
        return self

    @model_validator(mode="after")
    def _span_is_dates(self) -> "FactorEvaluationParameters":
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None:
                try:
                    pd.Timestamp(value)
                except ValueError as error:
                    raise ValueError(f"{name} is no date: {value}") from error
        return self

    def is_net_of(self, what: Literal["sector", "size"]) -> bool:
        """Return whether scores are asked for net of the sector or of size."""
        return what in self.net_of.split("_and_")
