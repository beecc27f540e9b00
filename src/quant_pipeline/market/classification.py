"""Which instruments belong together: sectors, and listings of one company."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError

UNKNOWN_SECTORS = ("", "Unknown")
"""What sources write where they know no sector; such an instrument is a sector of its own."""


@dataclass(frozen=True)
class Classification:
    """Sector and company by instrument.

    It is the classification of today: the market's tables have no history of it, so a backtest follows the sectors of
    today.

    Attributes
    ----------
    sectors, companies
        By instrument. One that is not named is a sector, or a company, of its own.
    """

    sectors: Mapping[str, str] = field(default_factory=dict)
    companies: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, instruments: pd.DataFrame) -> Classification:
        """Read the table of instruments: ``instrument``, ``sector`` and, where a source has it, ``company``."""
        names = instruments["instrument"].astype(str)
        sectors = instruments["sector"].fillna("").astype(str)
        is_known = ~sectors.isin(UNKNOWN_SECTORS)
        companies: dict[str, str] = {}
        if "company" in instruments.columns:
            stated = instruments["company"].fillna("").astype(str)
            companies = dict(zip(names[stated != ""], stated[stated != ""], strict=True))
        return cls(dict(zip(names[is_known], sectors[is_known], strict=True)), companies)

    def with_companies(self, companies: Mapping[str, str]) -> Classification:
        """Name the companies of some instruments, in the place of what the market says of them."""
        return replace(self, companies={**self.companies, **companies})

    def sector_of(self, instrument: str) -> str:
        """Name the sector of an instrument."""
        return self.sectors.get(instrument, f"only {instrument}")

    def company_of(self, instrument: str) -> str:
        """Name the company of an instrument."""
        return self.companies.get(instrument, f"only {instrument}")

    def sector_numbers(self, instruments: pd.Index) -> npt.NDArray[np.uint32]:
        """Return numbers of the sectors of some instruments, below their count; equal numbers are one sector."""
        return _numbers([self.sector_of(name) for name in instruments])

    def company_numbers(self, instruments: pd.Index) -> npt.NDArray[np.uint32]:
        """Return numbers of the companies of some instruments, below their count.

        Raises
        ------
        MarketDataError
            When no company of any instrument is known: the rule would never apply.
        """
        if not self.companies:
            raise MarketDataError(
                "strategy.one_listing_per_company needs to know which instruments are of one company, and neither the "
                "table of instruments has a column `company` nor does strategy.companies name any. Write the column "
                "into the file of securities, or the names: {GOOG: Alphabet, GOOGL: Alphabet}"
            )
        return _numbers([self.company_of(name) for name in instruments])


def _numbers(names: list[str]) -> npt.NDArray[np.uint32]:
    return np.asarray(pd.factorize(np.asarray(names, dtype=object))[0], dtype=np.uint32)
