"""What may be asked, typed: every unknown key, impossible number and reversed span is refused before work begins."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any

from pydantic import (
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveFloat,
    field_validator,
    model_validator,
)

from quant_pipeline.common.parameters import Parameters

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.^=-]{1,64}$")]
"""Name of an instrument, a model, a combination or a factor; never a path."""
Day = date
"""The type, where a field is called ``date``."""
MOST_SCORES = 5_000_000
"""Rows of scores of one question."""
MOST_HELD = 100_000
"""Instruments that a strategy may hold or exchange."""
Cost = Annotated[FiniteFloat, Field(ge=0, le=1e9)]
PANEL = ("datetime", "instrument")
"""Columns of every answer of factors; no factor has their name."""
Expression = Annotated[str, Field(min_length=1, max_length=4_000)]


def with_examples(*examples: dict[str, Any]) -> ConfigDict:
    """Return the settings of a question that the document of the routes shows with examples."""
    return ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": list(examples)})


class Span(Parameters):
    """Sessions from ``start`` to ``end``, both included; the newest one alone when neither is given."""

    start: date | None = None
    end: date | None = None

    @model_validator(mode="after")
    def _is_in_order(self) -> Span:
        if self.start is not None and self.end is not None and self.start > self.end:
            raise ValueError(f"start {self.start} is after end {self.end}; exchange them")
        return self


class FactorQuestion(Span):
    """Factors of instruments.

    Attributes
    ----------
    expressions
        Name to Qlib expression.
    feature_set
        A configured or shipped set, such as ``alpha158``, instead of expressions or beside them.
    instruments
        Which; all when not given.
    allow_future
        Whether expressions may look ahead, as labels do.
    """

    model_config = with_examples(
        {
            "expressions": {"month": "$close/Ref($close, 21)-1"},
            "instruments": ["AADI", "ABUX"],
            "start": "2024-12-01",
            "end": "2024-12-31",
        }
    )

    expressions: dict[Name, Expression] = Field(default_factory=dict, max_length=500)
    feature_set: Name | None = None
    instruments: list[Name] | None = Field(default=None, min_length=1, max_length=20_000, fail_fast=True)
    allow_future: bool = False

    @field_validator("expressions")
    @classmethod
    def _are_no_columns(cls, expressions: dict[str, str]) -> dict[str, str]:
        taken = [name for name in PANEL if name in expressions]
        if taken:
            raise ValueError(f"'{taken[0]}' is a column of the answer; give the factor another name")
        return expressions

    @model_validator(mode="after")
    def _asks_for_something(self) -> FactorQuestion:
        if not self.expressions and self.feature_set is None:
            raise ValueError("name `expressions` or a `feature_set`")
        return self


OF_A_JOB = re.compile(r"[\w\s$.,()+\-*/<>=!&|~]+")
"""Characters of an expression that reaches a job: without texts, which ``--params`` cannot carry."""


class EvaluationQuestion(Span):
    """How well a factor, or each factor of a set, orders the returns that follow; a job."""

    model_config = with_examples({"expression": "-1*($close/Ref($close, 5)-1)"})

    expression: Expression | None = None
    feature_set: Name | None = None

    @field_validator("expression")
    @classmethod
    def _can_be_carried(cls, expression: str | None) -> str | None:
        if expression is not None and not OF_A_JOB.fullmatch(expression):
            raise ValueError("an expression of a job holds no quotes, colons, brackets of lists or signs of comments")
        return expression

    @model_validator(mode="after")
    def _asks_for_something(self) -> EvaluationQuestion:
        if self.expression is None and self.feature_set is None:
            raise ValueError("name an `expression` or a `feature_set`")
        return self


class PredictionQuestion(Parameters):
    """Scores of the newest session by the champion of a model."""

    model_config = with_examples({"instruments": ["AADI", "ABUX"]})

    instruments: list[Name] | None = Field(default=None, min_length=1, max_length=20_000, fail_fast=True)


class TrainingQuestion(Parameters):
    """Training of models; a job. What has not changed since it was trained is kept."""

    model_config = with_examples({"models": ["ridge_alpha158"]})

    models: list[Name] = Field(default_factory=list, max_length=100, fail_fast=True)


class ScoreColumns(Parameters):
    """Scores as three columns of equal length."""

    date: list[Day] = Field(max_length=MOST_SCORES, fail_fast=True)
    instrument: list[Name] = Field(max_length=MOST_SCORES, fail_fast=True)
    score: list[FiniteFloat] = Field(max_length=MOST_SCORES, fail_fast=True)

    @model_validator(mode="after")
    def _have_one_length(self) -> ScoreColumns:
        lengths = {len(self.date), len(self.instrument), len(self.score)}
        if len(lengths) != 1 or lengths == {0}:
            raise ValueError(f"date, instrument and score have {sorted(lengths)} values; they need the same number")
        return self


class Sizes(Parameters):
    """How many instruments a strategy holds, and how many leave at a decision.

    Attributes
    ----------
    topk, n_drop
        The account's when not given.
    """

    topk: int | None = Field(default=None, ge=1, le=MOST_HELD)
    n_drop: int | None = Field(default=None, ge=0, le=MOST_HELD)

    def changes(self) -> dict[str, int]:
        """Return what was given."""
        return self.model_dump(include=set(Sizes.model_fields), exclude_none=True)


class BacktestQuestion(Span, Sizes):
    """What the strategy would have earned.

    Attributes
    ----------
    combination, model
        Whose stored scores are traded, the out-of-sample ones.
    scores
        Scores of your own instead: columns ``date``, ``instrument``, ``score``, each known after the close of its date.
    topk, n_drop
        How many instruments are held, and how many leave at a decision; the account's when not given.
    costs
        Keys of ``cost_rules`` that differ from the account's, such as ``buy_rate``.
    initial_cash
        The account's when not given.
    """

    model_config = with_examples(
        {"combination": "all_icir", "topk": 20, "n_drop": 4}, {"model": "ridge_alpha158", "costs": {"buy_rate": 0.001}}
    )

    combination: Name | None = None
    model: Name | None = None
    scores: ScoreColumns | None = None
    costs: dict[Name, Cost] = Field(default_factory=dict, max_length=100)
    initial_cash: PositiveFloat | None = Field(default=None, le=1e12)

    @model_validator(mode="after")
    def _has_one_source(self) -> BacktestQuestion:
        given = [name for name in ("combination", "model", "scores") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("name exactly one of combination, model and scores")
        return self


class JobQuestion(Parameters):
    """A job by its kind; the routes of each kind ask the same with typed requests."""

    model_config = with_examples({"kind": "search", "request": {}})

    kind: Name
    request: dict[str, Any] = Field(default_factory=dict)


class SearchQuestion(Parameters):
    """Search over combinations of models, as the parameters of the account say; a job."""
