"""Tables as people open them: numbers rounded to their meaning, no cell that a spreadsheet would run as a formula."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

CENTS: Final = 2
PRICE: Final = 4
FRACTION: Final = 6
DECIMALS: Final = {
    **dict.fromkeys(
        (
            "nav", "cash", "benchmark", "market_value", "estimated_value", "fee", "fees", "flow", "profit", "charges",
            "unrealised_profit", "realised_profit", "contributed", "realised", "dividends", "interest", "taxes",
            "proceeds", "delay_cost", "slippage_cost", "shortfall", "cost_against_close",
        ),
        CENTS,
    ),
    **dict.fromkeys(
        (
            "price", "reference_price", "market_price", "decision_price", "deal_price", "average_cost", "open", "high",
            "low", "close", "vwap", "cost_per_share", "mean_price", "limit_price",
        ),
        PRICE,
    ),
    **dict.fromkeys(("score", "weight", "return", "turnover", "label", "ic", "rank_ic", "icir", "rank_icir"), FRACTION),
    "shortfall_bps": 2,
}  # fmt: skip
"""Decimals of a column by its name: amounts in cents, prices in hundredths of a cent, fractions in millionths."""
SMALL_PRICE: Final = 0.1
"""Prices below keep their `DIGITS`."""
COUNTS: Final = ("quantity", "requested", "filled", "volume", "rank", "sessions_held", "days_held", "sessions")
"""Columns of whole numbers, as long as all of them are whole."""
DIGITS: Final = 10
"""Significant digits of every other number: what comes behind them is the arithmetic of binary fractions."""

_FORMULA = re.compile(r"[=+\-@\t]")


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Round the numbers of a table to what they mean, by the name of their column, see `DECIMALS`.

    Parameters
    ----------
    table
        Any table; columns that hold no floating-point numbers stay as they are.
    """
    return table.assign(**{name: _rounded(name, table[name]) for name in table.columns if _is_float(table[name])})


def csv_text(table: pd.DataFrame) -> str:
    """Write a table as CSV, rounded and safe to open in a spreadsheet; its index is left out."""
    return str(safe(rounded(table)).to_csv(index=False))


def safe(table: pd.DataFrame) -> pd.DataFrame:
    """Write an apostrophe before a text that a spreadsheet would run as a formula (OWASP, "CSV Injection")."""
    texts = table.select_dtypes(include=["object", "string", "category"]).columns
    return table.assign(**{name: _plain(table[name]) for name in texts})


def as_it_was(table: pd.DataFrame) -> pd.DataFrame:
    """Take the apostrophes of `safe` away again."""
    texts = table.select_dtypes(include=["object", "string"]).columns
    return table.assign(**{name: table[name].map(_without_apostrophe) for name in texts})


def _is_float(column: pd.Series) -> bool:
    return pd.api.types.is_float_dtype(column.dtype)


def _rounded(name: str, column: pd.Series) -> pd.Series:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if name in COUNTS and len(values) and np.all(np.isnan(values) | (values == np.round(values))):
        return column.round().astype("Int64") if np.isfinite(values).any() else column
    decimals = DECIMALS.get(name)
    exact = _significant(values) if decimals is None else np.round(values, decimals)
    if decimals == PRICE:
        # A coin, or a share before its splits, may cost less than a hundredth of a cent.
        exact = np.where(np.abs(values) < SMALL_PRICE, _significant(values), exact)
    return pd.Series(exact, index=column.index, name=column.name)


def _significant(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    size = np.abs(values)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exponent = np.floor(np.log10(np.where(np.isfinite(size) & (size > 0), size, 1.0)))
        shift = DIGITS - 1 - exponent
        up, down = 10.0 ** np.clip(shift, 0, 300), 10.0 ** np.clip(-shift, 0, 300)
        near = np.where(shift >= 0, np.round(values * up) / up, np.round(values / down) * down)
    # The largest numbers would be rounded up to infinity.
    return np.asarray(np.where(np.isfinite(near), near, values))


def _plain(column: pd.Series) -> pd.Series:
    """Look at every text once: columns of names repeat few of them a hundred thousand times."""
    if not isinstance(column.dtype, pd.StringDtype):
        return column.map(_as_plain_text)
    changed = {text: plain for text in column.unique() if (plain := _as_plain_text(text)) is not text}
    return column.map(lambda text: changed.get(text, text)) if changed else column


def _as_plain_text(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) and not _is_number(cell) else cell


def _without_apostrophe(cell: Any) -> Any:
    is_escaped = isinstance(cell, str) and cell.startswith("'") and _FORMULA.match(cell[1:])
    return cell[1:] if is_escaped else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
