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


def _is_alone(table: pd.DataFrame) -> pd.Series:
    """Return which rows are the only one of their date and instrument; sorted ones are not looked up."""
    if are_sorted_and_different(table):
        return pd.Series(True, index=table.index)
    return ~table.duplicated(["date", "instrument"], keep=False)


ONE_BAR_A_SESSION = pa.Check(
    _is_alone, name="one_bar_a_session", error="a session has one bar of an instrument", ignore_na=False
)


class LargeTableSchema(pa.DataFrameSchema):
    """A schema of a large table, which is checked without the copy that pandera makes of it: nothing is changed."""

    def validate(self, check_obj: pd.DataFrame, *args: Any, **kwargs: Any) -> pd.DataFrame:
        """Check a table, and return it; see `pandera.DataFrameSchema.validate`."""
        return super().validate(check_obj.copy(deep=False), *args, **{**kwargs, "inplace": True})

    @classmethod
    def get_backend(cls, check_obj: Any = None, check_type: type | None = None) -> Any:
        """Return what checks a table: that of pandera, which looks for it by the class of the schema."""
        return pa.DataFrameSchema.get_backend(check_obj, check_type)


BARS_SCHEMA = LargeTableSchema(
    {
        "date": DATE,
        "instrument": INSTRUMENT,
        **{name: pa.Column(float, POSITIVE) for name in ("open", "high", "low", "close")},
        "volume": pa.Column(float, NOT_NEGATIVE),
        "vendor_adjusted_close": pa.Column(float, nullable=True, required=False),
    },
    checks=ONE_BAR_A_SESSION,
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
    checks=ONE_BAR_A_SESSION,
    strict=True,
    name="adjusted_bars",
)
