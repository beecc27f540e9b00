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
    folder
        Folder of the results, below ``signals``: that of the signal, or below it that of the ``--params`` of the run.
    """

    signal: str
    horizons: list[PositiveInt] = Field(default=[1, 5, 20], min_length=1)
    start: str | None = None
    end: str | None = None
    folder: str = ""

    @field_validator("start", "end")
    @classmethod
    def _is_date(cls, value: str | None) -> str | None:
        try:
            return value if value is None else f"{pd.Timestamp(value):%Y-%m-%d}"
        except ValueError as error:
            raise ValueError(f"{value} is no date") from error

    @property
    def rules(self) -> str:
        """Whose rules the backtest follows, in words that stand after "by" on the page."""
        changed = self.folder.partition("/")[2]
        return f"the rules of the account with {changed.replace('__', ', ')}" if changed else "the rules of the account"
