"""Bars and corporate actions of one or two instruments in a week, by hand."""

import numpy as np
import pandas as pd

DAYS = pd.bdate_range("2020-01-06", periods=5, unit="ns")


def bars(closes, instrument="AAA", days=DAYS):
    close = np.asarray(closes, dtype=float)
    return pd.DataFrame(
        {
            "date": days[: len(close)],
            "instrument": instrument,
            "open": close,
            "high": close,
            "low": close,
            "close": close,
            "volume": 1000.0,
        }
    )


def actions(*rows):
    table = pd.DataFrame(list(rows), columns=["date", "instrument", "kind", "value"])
    return table.astype({"date": "datetime64[ns]", "instrument": str, "kind": str, "value": float})
