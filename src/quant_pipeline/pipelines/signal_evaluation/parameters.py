"""Parameters of the evaluation of a signal."""

import pandas as pd
from pydantic import Field, PositiveInt, field_validator

from quant_pipeline.common.parameters import Parameters


class SignalEvaluationParameters(Parameters):
    """The ``signal_evaluation`` block of the parameters.

    Attributes
    ----------
    signal
        Name of an entry of ``signals``.
    horizons
        Sessions of the returns that the scores are compared with.
    start, end
        First and last session of the scores; None is the whole history. A signal learns nothing, so no session has to
        be kept from it.
    """

    signal: str
    horizons: list[PositiveInt] = Field(default=[1, 5, 20], min_length=1)
    start: str | None = None
    end: str | None = None

    @field_validator("start", "end")
    @classmethod
    def _is_date(cls, value: str | None) -> str | None:
        try:
            return value if value is None else f"{pd.Timestamp(value):%Y-%m-%d}"
        except ValueError as error:
            raise ValueError(f"{value} is no date") from error
