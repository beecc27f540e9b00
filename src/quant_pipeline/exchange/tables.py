"""Readable tables of positions, fills and corporate actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.exchange import kernels
from quant_pipeline.exchange.money import ticks_to_float

FILL_STATUS = {
    kernels.FILLED: ("filled", ""),
    kernels.CUT_TO_VOLUME: ("partially_filled", "cut to the allowed part of the session's volume, the rest expired"),
    kernels.CUT_TO_CASH: ("partially_filled", "cut to what the cash and the fee allow"),
    kernels.CUT_TO_POSITION: ("partially_filled", "cut to the shares held"),
    kernels.EXPIRED_NO_BAR: ("expired", "the instrument did not trade in this session"),
    kernels.EXPIRED_NO_VOLUME: ("expired", "the allowed part of the session's volume is below one lot"),
    kernels.REJECTED_PRICE_LIMIT: ("rejected", "the execution price is at the daily price limit"),
    kernels.REJECTED_CASH: ("rejected", "the cash does not cover the order and its fee"),
    kernels.REJECTED_POSITION: ("rejected", "the instrument is not held"),
    kernels.REJECTED_LOCKED: ("rejected", "the shares were bought in this session and are locked until the next"),
    kernels.EXPIRED_UNREACHED: ("expired", "its price was not reached"),
    kernels.REJECTED_LOT: ("rejected", "the exchange takes no order of this size; see `market_rules.lot` and `lots`"),
    kernels.EXPIRED_LATE: ("expired", "it arrived after the last price that could execute it"),
}
"""Status and message of each result of an order."""


def positions_table(instruments: list[str], quantities: list[int], sessions_held: list[int]) -> pd.DataFrame:
    """Build a table of positions as the strategy and the exchange take it."""
    return pd.DataFrame(
        {
            "quantity": pd.Series(quantities, dtype="int64").to_numpy(),
            "sessions_held": pd.Series(sessions_held, dtype="int64").to_numpy(),
        },
        index=pd.Index(instruments, dtype="str", name="instrument"),
    )


def fills_table(fills: npt.NDArray[np.int64], instruments: pd.Index) -> pd.DataFrame:
    """Build the readable table of a record of fills."""
    shares = fills[:, kernels.FILL_SHARES]
    status = fills[:, kernels.FILL_STATUS]
    price = ticks_to_float(fills[:, kernels.FILL_PRICE])
    return pd.DataFrame(
        {
            "instrument": pd.Series(instruments.take(fills[:, kernels.FILL_INSTRUMENT]), dtype="str"),
            "side": texts_of(fills[:, kernels.FILL_REQUESTED] > 0, {1: "buy", 0: "sell"}),
            "quantity": shares,
            "requested": np.abs(fills[:, kernels.FILL_REQUESTED]),
            "price": np.where(shares > 0, price, np.nan),
            "market_price": ticks_to_float(fills[:, kernels.FILL_MARKET_PRICE]),
            "fee": ticks_to_float(fills[:, kernels.FILL_FEE]),
            "status": texts_of(status, {code: name for code, (name, _) in FILL_STATUS.items()}),
            "message": texts_of(status, {code: message for code, (_, message) in FILL_STATUS.items()}),
        }
    )


def texts_of(codes: npt.NDArray[Any], texts: Mapping[int, str]) -> pd.Series:
    """Return the text of each code, none below 0; one that occurs in thousands of rows is made once."""
    numbers = codes.astype(np.intp)
    is_there = np.bincount(numbers) > 0
    different = pd.array([texts[int(code)] for code in np.flatnonzero(is_there)], dtype="str")
    return pd.Series(different.take((np.cumsum(is_there) - 1)[numbers]))


def events_table(rows: list[tuple[str, str, int, int, int]]) -> pd.DataFrame:
    """Build the table of corporate actions: instrument, kind, shares before, shares after, cash received in ticks."""
    return pd.DataFrame(
        {
            "instrument": pd.Series([row[0] for row in rows], dtype="str"),
            "kind": pd.Series([row[1] for row in rows], dtype="str"),
            "quantity_before": pd.Series([row[2] for row in rows], dtype="int64"),
            "quantity_after": pd.Series([row[3] for row in rows], dtype="int64"),
            "amount": ticks_to_float([row[4] for row in rows]),
        }
    )
