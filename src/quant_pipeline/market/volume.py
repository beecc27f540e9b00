"""Which bars are of trades: the one rule that every engine, label and account follows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd


def has_traded(bars: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which bars were made by trades: those with a close, and with a volume that is not zero.

    Vendors fill a suspension, or a session in which nothing was traded, with the last price and a volume of zero. Such
    a bar values a position, but no trade was made at its prices: no order executes in it, no decision at its
    close trades its instrument, and no label begins or ends in it. A volume that is not known is no volume of zero.

    Parameters
    ----------
    bars
        ``close`` and, where it is known, ``volume``.
    """
    closed = bars["close"].notna().to_numpy()
    return closed & (bars["volume"] != 0).to_numpy() if "volume" in bars.columns else closed
