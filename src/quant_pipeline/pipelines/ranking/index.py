"""The index of a cross-section of scores: where each one is between the worst, -100, and the best, +100."""

import pandas as pd


def rank_index(scores: pd.Series) -> pd.Series:
    """Return the index of the ranks: ``200 (rank - 1/2) / n - 100``, with the average rank where scores are equal.

    It depends on the order of the scores alone, so an increasing transform leaves it as it is; it changes sign with
    them; its sum is zero, and so is the index of the median.

    Parameters
    ----------
    scores
        Scores of one session; a missing one has no index.

    Returns
    -------
    pandas.Series
        On the index of `scores`.
    """
    return 200.0 * (scores.rank() - 0.5) / scores.count() - 100.0


def minmax_index(scores: pd.Series) -> pd.Series:
    """Return the index of the scores between the smallest, -100, and the largest, +100; 0 where all are equal."""
    low, high = scores.min(), scores.max()
    if not high > low:
        return scores.where(scores.isna(), 0.0)
    # Halved first: the difference of two large scores can be beyond the largest number.
    share = (scores / 2 - low / 2) / (high / 2 - low / 2)
    return 200.0 * share - 100.0
