"""What happens to rows whose label is not known."""

from __future__ import annotations

import pandas as pd


def drop_missing_labels(features: pd.DataFrame, labels: pd.Series) -> tuple[pd.DataFrame, pd.Series]:
    """Keep the rows that have a label: nothing can be learned from the others.

    For training only. Prediction has no labels, and drops no rows.

    Parameters
    ----------
    features
        Panel ``(datetime, instrument) × factor``.
    labels
        On the same kind of index; NaN where not realised.

    Returns
    -------
    tuple of pandas.DataFrame and pandas.Series
        Rows of `features` with a label, and these labels, in the order of `features`.
    """
    known = labels.reindex(features.index)
    rows = known.notna().to_numpy()
    return features[rows], known[rows]
