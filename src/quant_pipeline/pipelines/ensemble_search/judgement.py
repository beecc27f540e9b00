"""Judgement: who leads, how choices of the past did afterwards, and how much of the best one is luck."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.evaluation.overfitting import (
    OverfittingReport,
    expected_maximum_sharpe,
    judge_measures,
    overfitting_logits,
    probability_of_sharpe,
    superior_ability,
)
from quant_pipeline.evaluation.similarity import mean_pair_correlation
from quant_pipeline.evaluation.walk_forward_selection import group_periods, sharpe_of_periods, walk_forward_folds
from quant_pipeline.market.clock import SESSIONS_PER_YEAR
from quant_pipeline.pipelines.ensemble_search.parameters import EnsembleSearchParameters
from quant_pipeline.pipelines.ensemble_search.trials import Trials

_BOOTSTRAP_SESSIONS = 10


def ranking(trials: Trials, sessions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Order the trials by their Sharpe ratio of excess returns in the selection; of equals the smaller comes first."""
    sharpe = sharpe_of_periods(trials.period_sums, sessions)
    sizes = np.array([len(members) for members in trials.combinations])
    return np.lexsort((sizes, -sharpe))


def walk_forward(
    trials: Trials, draws: Trials, periods: pd.DataFrame, parameters: EnsembleSearchParameters
) -> pd.DataFrame:
    """Choose on the past and measure on the next fold, again and again.

    Parameters
    ----------
    trials, draws
        Results of combinations and of random scores.
    periods
        ``first``, ``last`` (dates) and ``sessions`` of each period.
    parameters
        Lengths.

    Returns
    -------
    pandas.DataFrame
        Per fold: ``ranked_until``, ``first``, ``last`` (dates), ``chosen``, its Sharpe ratios ``ranked_sharpe`` and
        ``sharpe``, its ``percentile`` among all in the fold (1 is best), ``median_sharpe`` of all,
        ``uninformed_sharpe`` (mean of the draws), ``rank_correlation`` between ranking and fold over all, and
        ``excess_sum`` and ``square_sum`` of the chosen one in the fold.
    """
    sessions = periods["sessions"].to_numpy()
    folds = walk_forward_folds(
        len(periods), parameters.first_training_periods, parameters.fold_periods, parameters.embargo_periods
    )
    rows = []
    for fold in folds:
        before = sharpe_of_periods(trials.period_sums, sessions, 0, fold.ranked)
        after = sharpe_of_periods(trials.period_sums, sessions, fold.first, fold.last)
        best = int(before.argmax())
        excess, square = trials.period_sums[best, fold.first : fold.last].sum(axis=0)
        rows.append(
            {
                "ranked_until": periods["last"].iloc[fold.ranked - 1],
                "first": periods["first"].iloc[fold.first],
                "last": periods["last"].iloc[fold.last - 1],
                "sessions": int(sessions[fold.first : fold.last].sum()),
                "chosen": " + ".join(trials.combinations[best]),
                "ranked_sharpe": before[best],
                "sharpe": after[best],
                "percentile": float((after < after[best]).sum() / max(len(after) - 1, 1)),
                "median_sharpe": float(np.median(after)),
                "uninformed_sharpe": float(
                    sharpe_of_periods(draws.period_sums, sessions, fold.first, fold.last).mean()
                ),
                "rank_correlation": _rank_correlation(before, after),
                "excess_sum": excess,
                "square_sum": square,
            }
        )
    return pd.DataFrame(rows)


def sharpe_of_walk(folds: pd.DataFrame) -> float:
    """Sharpe ratio of what was chosen in each fold, over all folds."""
    sums = folds[["excess_sum", "square_sum"]].to_numpy()[None]
    return float(sharpe_of_periods(sums, folds["sessions"].to_numpy())[0])


def judge_luck(
    trials: Trials,
    best: int,
    moments: Mapping[str, float],
    sessions: npt.NDArray[np.int64],
    parameters: EnsembleSearchParameters,
) -> tuple[OverfittingReport, npt.NDArray[np.float64]]:
    """Ask every measure of overfitting about the selection sessions.

    Parameters
    ----------
    trials
        Everything that was tried.
    best
        Place of the one chosen.
    moments
        ``skew`` and ``kurtosis`` of its excess returns.
    sessions
        Sessions of each period.
    parameters
        Blocks, bootstrap and seed.

    Returns
    -------
    tuple
        The report, and the logit of every split.

    Raises
    ------
    ConfigurationError
        If a single combination was tried: nothing was chosen.
    """
    if len(trials.combinations) < 2:
        raise ConfigurationError(
            "A search needs at least two combinations. Enable more models or raise `max_models` in "
            "parameters_ensemble_search.yml."
        )
    logits = overfitting_logits(*group_periods(trials.period_sums, sessions, parameters.overfitting_blocks))
    sharpes = sharpe_of_periods(trials.period_sums, sessions) / np.sqrt(SESSIONS_PER_YEAR)
    shape = (float(sharpes[best]), moments["skew"], moments["kurtosis"], int(sessions.sum()))
    reality, superior = superior_ability(
        np.ascontiguousarray(trials.period_sums[:, :, 0].T),
        parameters.seed,
        parameters.bootstrap_repeats,
        max(round(_BOOTSTRAP_SESSIONS / parameters.period_sessions), 1),
    )
    report = judge_measures(
        probabilistic=probability_of_sharpe(*shape),
        deflated=probability_of_sharpe(*shape, expected_maximum_sharpe(sharpes)),
        overfitting=float((logits <= 0).mean()),
        reality=reality,
        superior=superior,
        trials=len(sharpes),
    )
    return report, logits


def lead(
    trials: Trials,
    order: npt.NDArray[np.int64],
    finalists: pd.DataFrame,
    score_correlation: pd.DataFrame,
    sessions: npt.NDArray[np.int64],
) -> pd.DataFrame:
    """Write the leaderboard.

    Parameters
    ----------
    trials, order
        Everything that was tried, and its ranking.
    finalists
        Indexed by combination: measures of the holdout. They stand beside the ranking and do not enter it.
    score_correlation
        Of the models.
    sessions
        Sessions of each period.

    Returns
    -------
    pandas.DataFrame
        ``rank``, ``combination``, ``size``, figures of the selection, ``mean_correlation`` of the members' scores, and
        the holdout columns of the finalists.
    """
    names = [" + ".join(trials.combinations[index]) for index in order]
    figures = trials.figures.iloc[order].reset_index(drop=True)
    # The ratio that ranks: pooled over the phases, whereas the engine's figure is a mean of ratios.
    figures["excess_sharpe"] = sharpe_of_periods(trials.period_sums, sessions)[order]
    table = pd.DataFrame(
        {
            "rank": np.arange(1, len(order) + 1),
            "combination": pd.array(names, dtype="str"),
            "size": [len(trials.combinations[index]) for index in order],
        }
    )
    table = pd.concat([table, figures.drop(columns=["total_return", "final_value"])], axis=1)
    table["mean_correlation"] = [
        mean_pair_correlation(score_correlation, list(trials.combinations[index])) for index in order
    ]
    held_out = finalists.filter(like="holdout_").reindex(table["combination"]).reset_index(drop=True)
    return pd.concat([table, held_out], axis=1)


def summarise_judgement(report: OverfittingReport, leaderboard: pd.DataFrame, folds: pd.DataFrame) -> dict[str, Any]:
    """Put the outcome of the search into one mapping, numbers first."""
    best = leaderboard.iloc[0]
    return {
        "chosen": str(best["combination"]),
        "verdict": report.verdict,
        "reasons": list(report.reasons),
        "trials": report.trials,
        "excess_sharpe": float(best["excess_sharpe"]),
        "annualised_return": float(best["annualised_return"]),
        "probabilistic_sharpe": report.probabilistic_sharpe,
        "deflated_sharpe": report.deflated_sharpe,
        "backtest_overfitting": report.backtest_overfitting,
        "reality_check": report.reality_check,
        "superior_ability": report.superior_ability,
        "walk_forward_sharpe": sharpe_of_walk(folds),
        "walk_forward_percentile": float(folds["percentile"].mean()),
        "walk_forward_rank_correlation": _known(folds["rank_correlation"].mean()),
        "holdout_excess_sharpe": _known(best["holdout_excess_sharpe"]),
    }


def _rank_correlation(before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> float:
    if len(before) < 2 or np.ptp(before) == 0 or np.ptp(after) == 0:
        return float("nan")
    return float(scipy.stats.spearmanr(before, after).statistic)


def _known(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
