"""Sectors as numbers beside the bars, so that factor expressions can name them: ``$sector``."""

from __future__ import annotations

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.instrument_rows import number_instruments


def add_sector_numbers(adjusted_bars: pd.DataFrame, instruments: pd.DataFrame) -> pd.DataFrame:
    """Add ``sector``, a number that instruments of one sector share.

    Parameters
    ----------
    adjusted_bars
        One row per bar, with ``instrument``.
    instruments
        ``instrument`` and ``sector``, as text. It is the classification of today: a history of reclassifications is
        not part of the market's tables.

    Returns
    -------
    pandas.DataFrame
        `adjusted_bars` with ``sector``, float64, counting from 0 in the order of the alphabet. Only equality means
        something.

    Raises
    ------
    MarketDataError
        When an instrument with bars has no row in `instruments`.
    """
    numbers = pd.Series(pd.factorize(instruments["sector"], sort=True)[0].astype("float64"), instruments["instrument"])
    codes, names = number_instruments(adjusted_bars)
    by_name = numbers.reindex(names).to_numpy()
    if np.isnan(by_name).any():
        name = names[np.isnan(by_name)][0]
        raise MarketDataError(f"instrument '{name}' has bars but no row in the table of instruments; add it there.")
    return adjusted_bars.assign(sector=by_name[codes])
