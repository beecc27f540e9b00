"""How values are written for people."""

import pandas as pd


def text(value: object) -> str:
    """Write a value as it is."""
    return str(value)


def percent(value: float) -> str:
    """Write a fraction as percent."""
    return "–" if pd.isna(value) else f"{value:.1%}"


def signed(value: float) -> str:
    """Write a coefficient with sign and four decimals."""
    return "–" if pd.isna(value) else f"{value:+.4f}"


def ratio(value: float) -> str:
    """Write a ratio with two decimals."""
    return "–" if pd.isna(value) else f"{value:.2f}"


def dollars(value: float) -> str:
    """Write an amount in whole dollars."""
    return "–" if pd.isna(value) else f"{value:,.0f}"


def price(value: float) -> str:
    """Write a price in dollars and cents."""
    return "–" if pd.isna(value) else f"{value:,.2f}"


def count(value: float) -> str:
    """Write a whole number."""
    return "–" if pd.isna(value) or value == 0 else f"{value:,.0f}"


def day(value: pd.Timestamp) -> str:
    """Write a date."""
    return f"{value:%Y-%m-%d}"
