"""Options of the source ``qlib``: what a provider cannot say itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, field_validator

from quant_pipeline.common.parameters import LocalPath, Parameters
from quant_pipeline.market.sources.files.options import Exclusion

ALL_INSTRUMENTS = "all"


class QlibSourceParameters(Parameters):
    """The block of the source ``qlib``.

    Attributes
    ----------
    provider_uri
        Folder of the provider, as ``qlib.init`` takes it; of several frequencies, the one of ``day``.
    universe
        Name of a file of ``instruments/``: its instruments are read, and are members within their ranges.
    benchmark
        Instrument that is the benchmark; None takes the index of the universe where the provider has it, else the
        equally weighted mean.
    calendar
        Exchange calendar; None takes the one that fits the provider's own.
    missing_factor
        What becomes of prices without a factor, whose price as traded is not known: ``refuse`` the market,
        ``leave_out`` the bars, or take them ``as_traded``.
    volume_unit
        What one unit of volume is: 100 for providers that keep lots of 100 shares.
    on_problem
        ``refuse`` the market when something is wrong with it, or ``leave_out`` what is wrong.
    exclude
        Rows that are left out, by instrument and dates.
    """

    provider_uri: LocalPath
    universe: str = Field(default=ALL_INSTRUMENTS, min_length=1)
    benchmark: str | None = None
    calendar: str | None = None
    missing_factor: Literal["refuse", "leave_out", "as_traded"] = "refuse"
    volume_unit: PositiveFloat = 1.0
    on_problem: Literal["refuse", "leave_out"] = "refuse"
    exclude: tuple[Exclusion, ...] = ()

    @field_validator("provider_uri", mode="before")
    @classmethod
    def _take_the_days(cls, uri: object) -> object:
        return uri.get("day", uri) if isinstance(uri, dict) else uri
