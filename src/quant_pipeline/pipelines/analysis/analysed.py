"""The tables of an analysis as the sections of its page take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from quant_pipeline.common.environments import in_environment
from quant_pipeline.pipelines.analysis.parameters import AnalysisParameters
from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column


@dataclass(frozen=True)
class AnalysedAccount:
    """What every section is given.

    Attributes
    ----------
    tables
        By name, without ``analysis_``.
    rules
        Minimum numbers of cases.
    currency, account
        Of the amounts, and its name.
    """

    tables: Mapping[str, pd.DataFrame]
    rules: AnalysisParameters
    currency: str
    account: str

    def run(self, pipelines: str) -> str:
        """Return the command that runs pipelines on this account."""
        return in_environment(f"kedro run --pipelines {pipelines}", self.account)


def band_columns(write: wording.Write) -> list[Column]:
    """Return the columns of the two ends of a band."""
    return [Column("lower", "from", write), Column("upper", "to", write)]
