"""How alike models are: correlations of their scores and of their returns, and the tree these make."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy


class Tree(NamedTuple):
    """A hierarchical clustering, ready to draw.

    Attributes
    ----------
    order
        Names, neighbours alike.
    steps
        Rows of four points, ``(place, height)`` pairs of each join's bracket; places count from 0 in `order`.
    """

    order: list[str]
    steps: list[tuple[tuple[float, float], ...]]


def correlate_scores(panel: pd.DataFrame) -> pd.DataFrame:
    """Correlate scores within every session and average over sessions.

    Parameters
    ----------
    panel
        Normalised scores, ``(datetime, instrument) × model``, sorted; with ranks this is the Spearman correlation.
        Rows in which a model has no score are left out.

    Returns
    -------
    pandas.DataFrame
        Models × models; sessions in which either score is constant do not count.
    """
    known = panel.dropna()
    by_session = known.groupby(level="datetime")
    centred = known - by_session.transform("mean")
    length = np.sqrt((centred**2).groupby(level="datetime").transform("sum"))
    unit = (centred / length.where(length > 0)).to_numpy()
    starts = np.flatnonzero(~known.index.get_level_values("datetime").duplicated())
    names = list(panel.columns)
    matrix = np.eye(len(names))
    for first in range(len(names)):
        daily = np.add.reduceat(unit[:, [first]] * unit[:, first + 1 :], starts, axis=0)
        matrix[first, first + 1 :] = matrix[first + 1 :, first] = np.nanmean(daily, axis=0) if len(daily) else np.nan
    return pd.DataFrame(matrix, index=names, columns=names)


def correlate_returns(period_values: npt.NDArray[np.float64], names: list[str]) -> pd.DataFrame:
    """Correlate excess returns.

    Parameters
    ----------
    period_values
        Models × periods.
    names
        Of the models.

    Returns
    -------
    pandas.DataFrame
        Models × models; 0 beside a model whose returns do not vary.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        matrix = np.atleast_2d(np.nan_to_num(np.corrcoef(period_values)))
    np.fill_diagonal(matrix, 1.0)
    return pd.DataFrame(matrix, index=names, columns=names)


def mean_pair_correlation(correlation: pd.DataFrame, members: list[str]) -> float:
    """Mean correlation of the pairs of a combination; NaN of a single model.

    Raises
    ------
    KeyError
        If a member is not in the table.
    """
    indices = correlation.columns.get_indexer(members)
    if (indices < 0).any():
        raise KeyError(members[int(np.argmin(indices))])
    part = correlation.to_numpy()[np.ix_(indices, indices)]
    pairs = part[np.triu_indices(len(members), k=1)]
    return float(pairs.mean()) if len(pairs) else float("nan")


def grow_tree(correlation: pd.DataFrame) -> Tree:
    """Cluster by average linkage on the distance ``√((1 - ρ) / 2)``.

    That distance is a metric (Mantegna, *Hierarchical Structure in Financial Markets*, 1999), and average linkage,
    unlike Ward's, does not need a Euclidean one.

    Parameters
    ----------
    correlation
        Models × models.
    """
    names = list(correlation.columns)
    if len(names) < 2:
        return Tree(names, [])
    distance = np.sqrt(np.clip((1 - correlation.to_numpy()) / 2, 0.0, 1.0))
    np.fill_diagonal(distance, 0.0)
    pairs = scipy.spatial.distance.squareform(distance, checks=False)
    joined = scipy.cluster.hierarchy.linkage(pairs, "average", optimal_ordering=True)
    drawn = scipy.cluster.hierarchy.dendrogram(joined, no_plot=True)
    # scipy puts leaf k at 5 + 10 k.
    steps = [
        tuple(((x - 5) / 10, y) for x, y in zip(xs, ys, strict=True))
        for xs, ys in zip(drawn["icoord"], drawn["dcoord"], strict=True)
    ]
    return Tree([names[leaf] for leaf in drawn["leaves"]], steps)
