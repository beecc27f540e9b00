"""A panel of one factor and two instruments."""

import numpy as np
import pandas as pd


def panel(sessions):
    """Number the rows of some sessions."""
    index = pd.MultiIndex.from_product([pd.DatetimeIndex(sessions), ["AAA", "BBB"]], names=["datetime", "instrument"])
    return pd.DataFrame({"factor": np.arange(len(index), dtype="float32")}, index=index)
