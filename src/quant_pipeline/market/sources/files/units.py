"""What the numbers of a layout mean: lots, thousands, billionths, quotes without a trade."""

from __future__ import annotations

import pandas as pd

from quant_pipeline.market.sources.files.draft import PRICES
from quant_pipeline.market.sources.files.recognition import Recognised


def keeps_numbers(found: Recognised) -> bool:
    """Whether the numbers of a layout whose rows stand alone are shares, prices and currency already."""
    scales = found.volume_unit, found.layout.amount_unit
    return scales == (1.0, 1.0) and not found.layout.quotes_are_negative and "capital_gain" not in found.fields


def scale_to_shares_and_prices(rows: pd.DataFrame, found: Recognised) -> None:
    """Turn volumes into shares, prices into whole currency, and distributed gains into dividends, in place."""
    if found.volume_unit != 1.0:
        rows["volume"] = rows["volume"] * found.volume_unit
    if found.layout.quotes_are_negative:
        quoted = rows["close"] < 0
        rows["close"] = rows["close"].abs()
        rows["open"] = rows["open"].mask(quoted & ~(rows["open"] > 0), rows["close"])
    if found.layout.fixed_point != 1.0 and _are_fixed_point(rows):
        rows[list(PRICES)] *= found.layout.fixed_point
    if "amount" in rows:
        rows["amount"] = rows["amount"] * found.layout.amount_unit
    if "capital_gain" in rows:
        gains = rows.pop("capital_gain").fillna(0.0)
        rows["dividend"] = rows["dividend"].fillna(0.0) + gains if "dividend" in rows else gains


def _are_fixed_point(rows: pd.DataFrame) -> bool:
    """Whether prices are whole numbers beyond a million, which no vendor quotes."""
    close = rows["close"].dropna()
    return bool(len(close)) and bool((close % 1 == 0).all()) and float(close.median()) > 1e6
