"""Schemas of the market tables; the catalog validates with them on every save and load."""

from __future__ import annotations

import pandera.pandas as pa

from quant_pipeline.market.price_adjustment import KINDS

FINITE = pa.Check.lt(float("inf"))
POSITIVE, NOT_NEGATIVE = [pa.Check.gt(0), FINITE], [pa.Check.ge(0), FINITE]
DATE = pa.Column("datetime64[ns]")
INSTRUMENT = pa.Column(str, pa.Check.str_length(min_value=1))

BARS_SCHEMA = pa.DataFrameSchema(
    {
        "date": DATE,
        "instrument": INSTRUMENT,
        **{name: pa.Column(float, POSITIVE) for name in ("open", "high", "low", "close")},
        "volume": pa.Column(float, NOT_NEGATIVE),
        "vendor_adjusted_close": pa.Column(float, nullable=True, required=False),
    },
    strict=True,
    unique=["date", "instrument"],
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

ADJUSTED_BARS_SCHEMA = pa.DataFrameSchema(
    {
        "date": DATE,
        "instrument": INSTRUMENT,
        **{name: pa.Column(float, POSITIVE) for name in ("open", "high", "low", "close", "vwap", "factor")},
        "volume": pa.Column(float, NOT_NEGATIVE),
        "sector": pa.Column(float, NOT_NEGATIVE, required=False),
    },
    strict=True,
    unique=["date", "instrument"],
    name="adjusted_bars",
)
