"""Nodes of factor evaluation: collect the factors, compute the returns that follow, measure."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import ConfigurationError, FactorError
from quant_pipeline.common.listing import first_of
from quant_pipeline.evaluation import factor_tables
from quant_pipeline.evaluation.factor_correlation import correlate_blocks
from quant_pipeline.evaluation.factor_scores import Exposures, score_factors
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors.engine import compute_factors
from quant_pipeline.factors.feature_sets import find_feature_set
from quant_pipeline.factors.labels import compute_labels
from quant_pipeline.factors.precomputed import check_precomputed
from quant_pipeline.factors.sorted_panel import PANEL_INDEX
from quant_pipeline.models.panels import FeaturePanel, Features, as_panel, blocks_of
from quant_pipeline.pipelines.factor_evaluation.parameters import FactorEvaluationParameters


def collect_factors(
    adjusted_bars: pd.DataFrame,
    sessions: pd.DataFrame,
    universe_members: pd.DataFrame,
    precomputed_factors: pd.DataFrame | None,
    feature_sets: dict[str, Any],
    factor_evaluation: FactorEvaluationParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
    """Bring the factors to evaluate and the known ones together, for the members of the universe.

    Parameters
    ----------
    adjusted_bars, sessions
        What expressions are evaluated on.
    universe_members
        ``date``, ``instrument``: one row of the panels each.
    precomputed_factors
        A table of precomputed factors, or None.
    feature_sets
        The configured feature sets.
    factor_evaluation
        Which factors, and which span.

    Returns
    -------
    tuple of pandas.DataFrame, pandas.DataFrame, dict
        Evaluated and known factors, panels ``(datetime, instrument) × factor``, float32; the source of every evaluated
        factor: its expression, or the file.

    Raises
    ------
    ConfigurationError
        When two sources use one name, or no session is left.
    FactorError
        When an expression or the file cannot be used; a factor that looks ahead is refused.
    """
    calendar = pd.DatetimeIndex(sessions["date"])
    wanted = _expressions(feature_sets, factor_evaluation)
    index = _rows(universe_members, factor_evaluation)
    known = compute_factors(adjusted_bars, factor_evaluation.known_factors, calendar).reindex(index)
    sources = dict(wanted)
    parts = [compute_factors(adjusted_bars, wanted, calendar).reindex(index)] if wanted else []
    if precomputed_factors is not None:
        instruments = pd.Index(adjusted_bars["instrument"].unique())
        handed_over = check_precomputed(precomputed_factors, calendar, instruments).reindex(index)
        taken = [name for name in handed_over.columns if name in sources]
        if taken:
            raise ConfigurationError(
                f"the factor file uses names that are taken: {first_of(taken)}. Rename its columns."
            )
        parts.append(handed_over)
        sources |= dict.fromkeys(handed_over.columns, str(factor_evaluation.factor_file))
    if not parts:
        return known, known, dict(factor_evaluation.known_factors)
    panel = parts[0] if len(parts) == 1 else pd.concat(parts, axis=1)
    empty = [name for name in panel.columns if not np.isfinite(panel[name].to_numpy()).any()]
    if len(empty) == panel.shape[1]:
        raise FactorError(f"no factor has a single value for a member of the universe, for example '{empty[0]}'.")
    return panel, known, sources


def compute_returns_by_horizon(
    adjusted_bars: pd.DataFrame,
    corporate_actions: pd.DataFrame,
    sessions: pd.DataFrame,
    universe_members: pd.DataFrame,
    factor_evaluation: FactorEvaluationParameters,
    market_rules: MarketRules,
) -> pd.DataFrame:
    """Compute what a decision at each session would have earned over every horizon.

    Returns
    -------
    pandas.DataFrame
        Panel of the members ``(datetime, instrument) × horizon``, columns ``return_<horizon>``, float64. Row ``t``
        is known at the execution price of ``t + 1 + horizon``. A position that is delisted on the way exits at what it
        received.
    """
    horizons = {f"return_{horizon}": horizon for horizon in factor_evaluation.horizons}
    calendar = pd.DatetimeIndex(sessions["date"])
    labels = compute_labels(adjusted_bars, corporate_actions, calendar, market_rules.deal_price, horizons)
    return labels.reindex(_rows(universe_members, factor_evaluation))


def evaluate_factors(
    evaluated_factors: Features,
    known_factors: Features,
    factor_sources: dict[str, str],
    returns_by_horizon: pd.DataFrame,
    instruments: pd.DataFrame,
    factor_backtests: pd.DataFrame,
    factor_evaluation: FactorEvaluationParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Score all factors and tabulate the result.

    Parameters
    ----------
    evaluated_factors, known_factors, factor_sources
        As collected; panels in files are read some factors or sessions at a time.
    returns_by_horizon
        Labels on the same rows.
    instruments
        ``instrument``, ``sector``.
    factor_backtests
        What holding each factor earned, see `backtest_factors`.
    factor_evaluation
        How to score.

    Returns
    -------
    tuple of pandas.DataFrame
        Summary, with the columns of the backtests, decay, quantiles, sessions and correlations, see
        `quant_pipeline.evaluation.factor_tables`.
    """
    panel, known_panel = as_panel(evaluated_factors), as_panel(known_factors)
    index = panel.index
    groups = _sectors(index, instruments) if factor_evaluation.is_net_of("sector") else None
    size = None
    if factor_evaluation.is_net_of("size"):
        name = factor_evaluation.size_factor
        size = known_panel.read(columns=[name])[name].to_numpy(dtype="float64")
    scores = score_factors(panel, returns_by_horizon, factor_evaluation, Exposures(groups, size))
    evaluated, known = list(panel.columns), list(known_panel.columns)
    matrix = correlate_blocks(index, _side_by_side(panel, known_panel), factor_evaluation.correlation_sessions)
    correlations = factor_tables.tabulate_correlations(matrix, evaluated, known)
    decay = factor_tables.tabulate_decay(scores, factor_evaluation)
    summary = factor_tables.summarise_factors(decay, scores, correlations, factor_sources)
    return (
        summary.merge(factor_backtests, on="factor", how="left", validate="one_to_one"),
        decay,
        factor_tables.tabulate_quantiles(scores),
        factor_tables.tabulate_sessions(scores),
        correlations,
    )


def _side_by_side(panel: FeaturePanel, known: FeaturePanel) -> Iterator[tuple[slice, pd.DataFrame]]:
    """Read both panels block by block; a factor of both is read once."""
    others = [name for name in known.columns if name not in panel.columns]
    for rows in blocks_of(panel, slice(0, len(panel.index))):
        yield rows, pd.concat([panel.read(rows), known.read(rows, others)], axis=1)


def _expressions(feature_sets: dict[str, Any], parameters: FactorEvaluationParameters) -> dict[str, str]:
    expressions: dict[str, str] = {}
    if parameters.feature_set is not None:
        expressions |= _computed(parameters.feature_set, feature_sets)
    if parameters.expression is not None:
        expressions["expression"] = parameters.expression
    return expressions


def _rows(universe_members: pd.DataFrame, parameters: FactorEvaluationParameters) -> pd.MultiIndex:
    members = universe_members.sort_values(["date", "instrument"])
    first = pd.Timestamp(parameters.start or members["date"].min())
    last = pd.Timestamp(parameters.end or members["date"].max())
    members = members[members["date"].between(first, last)]
    if members.empty:
        raise ConfigurationError(
            f"the universe has no member between {first:%Y-%m-%d} and {last:%Y-%m-%d}. Correct `start` and `end` of "
            "`factor_evaluation`."
        )
    return pd.MultiIndex.from_frame(members[["date", "instrument"]], names=PANEL_INDEX)


def _sectors(index: pd.MultiIndex, instruments: pd.DataFrame) -> np.ndarray:
    sectors = instruments.set_index("instrument")["sector"].fillna("")
    of_row = sectors.reindex(index.get_level_values("instrument")).fillna("")
    return pd.factorize(of_row, sort=True)[0].astype("int64")


def _computed(name: str, feature_sets: dict[str, Any]) -> dict[str, str]:
    feature_set = find_feature_set(name, feature_sets)
    if feature_set.file is not None:
        raise ConfigurationError(
            f"feature set '{name}' reads the file '{feature_set.file}'. Evaluate its library or expressions as a set "
            "of their own, and the file by --params factor_file=PATH"
        )
    return feature_set.computed_expressions()
