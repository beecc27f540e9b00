"""How the universe of a session is ranked."""

from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from quant_pipeline.common.parameters import Parameters


class RankingParameters(Parameters):
    """The ``ranking`` block of the parameters.

    Attributes
    ----------
    scaling
        ``rank``: the index is that of the rank, so that it can be compared across days, sources and markets.
        ``minmax``: it is that of the score between the smallest and the largest of the session.
    top
        Instruments per source in CSV, JSON and page, the best ones; null writes all. The Parquet file has all of them,
        because the change since the session before is computed from it.
    max_age
        Sessions since its newest scores after which a source is not ranked; a weekly file of scores needs 4.
    traded_value_window
        Sessions over which the traded value is measured.
    min_traded_value
        Median of ``close × volume``, in the currency, below which an instrument is flagged as illiquid.
    """

    scaling: Literal["rank", "minmax"] = "rank"
    top: PositiveInt | None = None
    max_age: NonNegativeInt = 4
    traded_value_window: PositiveInt = 20
    min_traded_value: NonNegativeFloat = 1_000_000.0
