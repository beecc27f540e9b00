"""Alpha360: the last 60 bars relative to the newest close and volume, as expressions.

Names, order and formulas are those of ``Alpha360DL`` in Qlib 0.9.7 (``qlib/contrib/data/loader.py``).
"""

from __future__ import annotations

BARS = 60

_PRICES = ("close", "open", "high", "low", "vwap")


def _lagged(field: str, lag: int) -> str:
    return f"Ref(${field}, {lag})" if lag else f"${field}"


EXPRESSIONS: dict[str, str] = {
    f"{field.upper()}{lag}": f"{_lagged(field, lag)}/$close" for field in _PRICES for lag in range(BARS - 1, -1, -1)
} | {f"VOLUME{lag}": f"{_lagged('volume', lag)}/($volume+1e-12)" for lag in range(BARS - 1, -1, -1)}
"""Factor name to Qlib expression, in Qlib's order."""
