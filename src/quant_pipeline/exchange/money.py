"""Exact money: prices are whole ticks of a hundredth of a cent, and what moves cash is whole cents.

The strategy, the backtest and the simulated account all count in these integers, so that two of them can only agree
or disagree, never almost agree.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.row_blocks import row_blocks

TICKS_PER_UNIT = 10_000
"""Ticks in one unit of the currency: prices carry four decimals."""

TICKS_PER_CENT = 100
"""Whatever moves cash (fills, fees, dividends, interest) is whole cents, that is multiples of this many ticks."""

PAYMENT_SCALE = 100_000_000
"""Payments per share (dividends, delisting values) carry eight decimals."""

_PAYMENT_UNITS_PER_TICK = PAYMENT_SCALE // TICKS_PER_UNIT

_LARGEST_ROUNDED = 2.0**40
_LEAST_FROM_HALF = 2.0**-10

LARGEST_SPLIT_TERM = 10_000
"""Split ratios are read as fractions whose denominator does not exceed this."""

_ONE_TICK = Decimal("0.0001")
_ONE_CENT = Decimal("0.01")


def to_ticks(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Round prices to ticks, half up; a missing price becomes 0, which no tradable instrument has.

    Parameters
    ----------
    values
        Prices in the currency, any shape.

    Returns
    -------
    numpy.ndarray
        Ticks, int64, same shape.

    Raises
    ------
    MarketDataError
        If a price is negative or infinite.
    """
    prices = np.asarray(values, dtype=np.float64)
    ticks = np.empty(prices.shape, dtype=np.int64)
    given, rounded = prices.reshape(-1), ticks.reshape(-1)
    for rows in row_blocks(len(given)):
        if np.isinf(given[rows]).any() or (given[rows] < 0).any():
            raise MarketDataError(
                "A price is negative or infinite. Check the bars (see `check_bars`) and correct the row."
            )
        scaled = np.nan_to_num(given[rows], nan=0.0)
        scaled *= TICKS_PER_UNIT
        scaled += 0.5
        rounded[rows] = np.floor(scaled, out=scaled)
    return ticks[()]


def cash_to_ticks(cash: Decimal | float | int | str) -> int:
    """Convert an amount of cash to ticks, half up.

    Parameters
    ----------
    cash
        Amount in the currency; a float is read by its shortest decimal form, so ``0.1`` means one tenth.
    """
    amount = cash if isinstance(cash, Decimal) else Decimal(str(cash))
    return int((amount * TICKS_PER_UNIT).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def value_in_cents(quantity: Decimal | int, price: Decimal) -> Decimal:
    """Multiply a quantity by a price, half up to whole cents: the cash of a fill, as kernels count it in ticks."""
    return (quantity * price).quantize(_ONE_CENT, rounding=ROUND_HALF_UP)


def ticks_to_decimal(ticks: int) -> Decimal:
    """Convert ticks to an exact amount with four decimals."""
    return (Decimal(int(ticks)) * _ONE_TICK).quantize(_ONE_TICK)


def ticks_to_float(ticks: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Convert ticks to the nearest float amounts (exact to the tick below 10^11)."""
    amounts: npt.NDArray[np.float64] = np.asarray(ticks, dtype=np.int64) / TICKS_PER_UNIT
    return amounts


def split_terms(ratio: Any) -> tuple[int, int]:
    """Read a split ratio as new shares and old shares, both whole.

    A vendor's ``0.333333`` is one new share for three old ones, not 333,333 for a million.

    Parameters
    ----------
    ratio
        New shares per old share, positive.

    Returns
    -------
    tuple of int
        ``(numerator, denominator)`` in lowest terms.
    """
    if not float(ratio) > 0 or not np.isfinite(float(ratio)):
        raise MarketDataError(f"Split ratio {ratio!r} is not positive. Correct the value in corporate_actions.")
    fraction = Fraction(float(ratio)).limit_denominator(LARGEST_SPLIT_TERM)
    if fraction == 0:
        raise MarketDataError(f"Split ratio {ratio!r} is too small. Correct the value in corporate_actions.")
    return fraction.numerator, fraction.denominator


def price_after_split(price: int, new: int, old: int) -> int:
    """Divide a price in ticks by a split of `new` shares for `old` ones, half up to a tick."""
    return (2 * price * old + new) // (2 * new)


def price_after_dividend(price: int, payment: int) -> int:
    """Take a dividend of `payment` units of 10^-8 off a price in ticks, half up, down to one tick at least."""
    return max(price - (payment + _PAYMENT_UNITS_PER_TICK // 2) // _PAYMENT_UNITS_PER_TICK, 1)


def payment_units(per_share: Any) -> int:
    """Convert a payment per share to whole units of 10^-8, half up.

    Parameters
    ----------
    per_share
        Currency per share, not negative.
    """
    value = float(per_share)
    if not value >= 0 or not np.isfinite(value):
        raise MarketDataError(
            f"Payment per share {per_share!r} is negative or missing. Correct it in corporate_actions."
        )
    return int((Decimal(str(value)) * PAYMENT_SCALE).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def payment_units_of(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Convert many payments per share to units of 10^-8, as `payment_units` converts one.

    A product of floats is a relative 2^-52 at most from that of the decimals, which decides nothing unless the product
    is large or lies close to a half.

    Parameters
    ----------
    values
        Currency per share.

    Returns
    -------
    tuple of numpy.ndarray
        The units, and whether they are certain; the others are left to `payment_units`, as is what is no payment.
    """
    is_payment = (values >= 0) & (values * PAYMENT_SCALE < _LARGEST_ROUNDED)
    scaled = np.where(is_payment, values, 0.0) * PAYMENT_SCALE
    units = np.floor(scaled + 0.5)
    return units.astype(np.int64), is_payment & (np.abs(scaled - np.floor(scaled) - 0.5) > _LEAST_FROM_HALF)
