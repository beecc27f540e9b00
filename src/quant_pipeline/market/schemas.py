"""Schemas of the market tables; the catalog validates with them on every save and load."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pandera.pandas as pa

from quant_pipeline.market.instrument_rows import are_sorted_and_different
from quant_pipeline.market.price_adjustment import KINDS

FINITE = pa.Check.lt(float("inf"))
POSITIVE, NOT_NEGATIVE = [pa.Check.gt(0), FINITE], [pa.Check.ge(0), FINITE]
DATE = pa.Column("datetime64[ns]")
INSTRUMENT = pa.Column(str, pa.Check.str_length(min_value=1))


class LargeTableSchema(pa.DataFrameSchema):
    """A schema of a large table of dates and instruments; it says what pandera says of the same table.

    It is checked without the copy that pandera makes of it, as nothing is changed, and rows that are sorted are not
    looked up among each other.

    Parameters
    ----------
    columns, given
        As of `pandera.DataFrameSchema`; rows are unique by date and instrument.
    """

    def __init__(self, columns: dict[str, pa.Column], **given: Any) -> None:
        super().__init__(columns, unique=["date", "instrument"], **given)
        # Messages of pandera name the class of the schema.
        self._of_any = pa.DataFrameSchema(columns, unique=["date", "instrument"], **given)
        self._of_sorted = pa.DataFrameSchema(columns, **given)

    def validate(self, check_obj: pd.DataFrame, *args: Any, **kwargs: Any) -> pd.DataFrame:
        """Check a table, and return it; see `pandera.DataFrameSchema.validate`."""
        schema = self._of_sorted if _is_sorted(check_obj) else self._of_any
        return schema.validate(check_obj.copy(deep=False), *args, **{**kwargs, "inplace": True})


def _is_sorted(table: pd.DataFrame) -> bool:
    """Return whether rows are of different sessions and sorted; not so where the columns are not of their types."""
    types = dict(zip(table.columns, table.dtypes, strict=True))
    return (
        table.columns.is_unique
        and pd.api.types.is_datetime64_dtype(types.get("date"))
        and isinstance(types.get("instrument"), pd.StringDtype)
        and are_sorted_and_different(table)
    )


BARS_SCHEMA = LargeTableSchema(
    {
        "date": DATE,
        "instrument": INSTRUMENT,
        **{name: pa.Column(float, POSITIVE) for name in ("open", "high", "low", "close")},
        "volume": pa.Column(float, NOT_NEGATIVE),
        "vendor_adjusted_close": pa.Column(float, nullable=True, required=False),
    },
    strict=True,
    name="bars",
)

CORPORATE_ACTIONS_SCHEMA = pa.DataFrameSchema(
    {
        "date": DATE,
        "instrument": INSTRUMENT,
        "kind": pa.Column(str, pa.Check.isin(KINDS)),
        "value": pa.Column(float, NOT_NEGATIVE),
    },
    strict=True,
    unique=["date", "instrument", "kind"],
    name="corporate_actions",
)

INSTRUMENTS_SCHEMA = pa.DataFrameSchema(
    {
        "instrument": INSTRUMENT,
        "name": pa.Column(str),
        "sector": pa.Column(str),
        "listed": DATE,
        "delisted": pa.Column("datetime64[ns]", nullable=True),
        "company": pa.Column(str, required=False),
    },
    strict=True,
    unique=["instrument"],
    name="instruments",
)

ADJUSTED_BARS_SCHEMA = LargeTableSchema(
    {
        "date": DATE,
        "instrument": INSTRUMENT,
        **{name: pa.Column(float, POSITIVE) for name in ("open", "high", "low", "close", "vwap", "factor")},
        "volume": pa.Column(float, NOT_NEGATIVE),
        "sector": pa.Column(float, NOT_NEGATIVE, required=False),
    },
    strict=True,
    name="adjusted_bars",
)
