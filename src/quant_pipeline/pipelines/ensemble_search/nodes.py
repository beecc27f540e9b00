"""Nodes of the search: candidates, trials, finalists, similarity, judgement, attribution, page."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from quant_pipeline.common.cores import map_on_cores
from quant_pipeline.evaluation.attribution import CombinationValues
from quant_pipeline.evaluation.similarity import correlate_returns, correlate_scores
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors.labels import require_price, stated_label
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.ensemble_search import judgement, page
from quant_pipeline.pipelines.ensemble_search.candidates import align_scores
from quant_pipeline.pipelines.ensemble_search.finalists import backtest_in_full, measure_finalist
from quant_pipeline.pipelines.ensemble_search.parameters import EnsembleSearchParameters
from quant_pipeline.pipelines.ensemble_search.prepared_search import SearchInputs, read_table, table_of
from quant_pipeline.pipelines.ensemble_search.trials import Chunk, LazyChunks
from quant_pipeline.pipelines.market_tables import MarketTables, TradingRules
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.pipelines.wiring import takes_records
from quant_pipeline.reports.page import compose_page
from quant_pipeline.strategy.account_parameters import AccountParameters

Result = TypeVar("Result")


def align_candidates(
    ensemble: EnsembleParameters,
    ensemble_search: EnsembleSearchParameters,
    market_rules: MarketRules,
    **predictions: pd.DataFrame,
) -> pd.DataFrame:
    """Put the normalised out-of-sample scores of the candidates side by side.

    Returns
    -------
    pandas.DataFrame
        ``(datetime, instrument) × model``; missing where a model has no score.

    Raises
    ------
    ConfigurationError
        When a candidate predicts returns between other prices than those that orders execute at.
    StaleDataError
        When its scores do not state what they predict.
    """
    by_model = {name.removesuffix("_predictions"): table for name, table in predictions.items()}
    scores = align_scores(by_model, ensemble_search.models, ensemble.normalisation)
    for model in scores:
        require_price(
            model,
            stated_label(by_model[model]),
            market_rules.deal_price,
            remedy="predict again: `kedro run --pipelines training`",
            trained="train for it: `kedro run --pipelines features,training`",
        )
    return pd.DataFrame(scores).sort_index()


search_inputs = takes_records(tables=MarketTables, rules=TradingRules)(SearchInputs)
"""Puts the record together from datasets."""


@takes_records(inputs=search_inputs)
def backtest_candidates(inputs: SearchInputs, chunks: LazyChunks) -> Iterator[Chunk]:
    """Backtest every combination of the search that no earlier run has backtested.

    Parameters
    ----------
    inputs
        Candidates, market and rules; nothing after the last selection session is looked at.
    chunks
        Results of earlier runs.

    Yields
    ------
    dict
        New results as they come, so that an interrupted search goes on where it stopped; nothing in
        ``analysis_only``.
    """
    if inputs.ensemble_search.analysis_only:
        return
    prepared = inputs.prepare()
    yield from prepared.walk(prepared.runner(chunks, may_run=True))


@takes_records(inputs=search_inputs)
def collect_trials(inputs: SearchInputs, chunks: LazyChunks) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Collect the results of this search out of all that were ever written.

    Parameters
    ----------
    inputs
        As in :func:`backtest_candidates`: results are found by the content of these.
    chunks
        All results.

    Returns
    -------
    tuple of pandas.DataFrame
        ``search_trials``, one row per combination and draw; ``search_periods`` (``first``, ``last`` and, of those with
        a return, ``sessions``).
    """
    prepared = inputs.prepare()
    trials, draws = _exhaust(prepared.walk(prepared.runner(chunks, may_run=False)))
    dates = pd.Series(inputs.span.selection)
    by_period = dates.groupby(prepared.search.period_of_session)
    periods = pd.DataFrame(
        {"first": by_period.min(), "last": by_period.max(), "sessions": prepared.sessions_of_periods}
    )
    return table_of(trials, draws), periods.reset_index(drop=True)


@takes_records(inputs=search_inputs)
def backtest_finalists(
    search_trials: pd.DataFrame, search_periods: pd.DataFrame, inputs: SearchInputs
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Backtest the leaders again in full, on through the holdout that the search did not see.

    Returns
    -------
    tuple of pandas.DataFrame
        ``finalist_curves``: ``date``, ``combination``, ``nav`` (mean over phases, from 1), ``benchmark``,
        ``is_holdout``; and ``finalist_measures``, one row per finalist.
    """
    market = inputs.market(with_holdout=True)
    reference = pd.Series(inputs.benchmark_returns(market), index=market.sessions)
    trials = read_table(search_trials)[0].of_size(inputs.ensemble_search.min_models)
    order = judgement.ranking(trials, search_periods["sessions"].to_numpy())

    def trade(position: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        members = trials.combinations[position]
        daily = backtest_in_full(members, inputs, market, reference)
        name = " + ".join(members)
        returns = daily.pivot(index="date", columns="phase", values="return").reindex(market.sessions, fill_value=0.0)
        growth = (1 + returns).cumprod().mean(axis=1)
        curve = pd.DataFrame(
            {
                "date": growth.index,
                "combination": pd.array([name] * len(growth), dtype="str"),
                "nav": growth.to_numpy(),
                "benchmark": (1 + reference).cumprod().to_numpy(),
                "is_holdout": growth.index > inputs.span.selection[-1],
            }
        )
        return curve, {"combination": name, **measure_finalist(daily, inputs.span)}

    curves, measures = zip(*map_on_cores(trade, order[: inputs.ensemble_search.finalists]), strict=True)
    return pd.concat(curves, ignore_index=True), pd.DataFrame(measures)


def measure_similarity(
    candidate_scores: pd.DataFrame, search_trials: pd.DataFrame, search_periods: pd.DataFrame
) -> pd.DataFrame:
    """Correlate the candidates by their scores and by the excess returns they earn alone, in the selection sessions.

    Returns
    -------
    pandas.DataFrame
        ``of`` (``scores`` or ``returns``), ``model``, ``other``, ``correlation``.
    """
    last = search_periods["last"].max()
    seen = candidate_scores[candidate_scores.index.get_level_values("datetime") <= last]
    singles = search_trials[search_trials["size"] == 1]
    returns = singles.filter(regex=r"^sum_\d+$").to_numpy()
    matrices = {
        "scores": correlate_scores(seen),
        "returns": correlate_returns(returns, list(singles["combination"])),
    }
    tables = [
        matrix.rename_axis(index="model", columns="other").stack().rename("correlation").reset_index().assign(of=kind)
        for kind, matrix in matrices.items()
    ]
    return pd.concat(tables, ignore_index=True)[["of", "model", "other", "correlation"]]


def judge_search(
    search_trials: pd.DataFrame,
    search_periods: pd.DataFrame,
    finalist_measures: pd.DataFrame,
    search_correlations: pd.DataFrame,
    ensemble_search: EnsembleSearchParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], pd.DataFrame]:
    """Rank, walk forward, and separate skill from luck.

    Returns
    -------
    tuple
        ``search_leaderboard``, ``search_folds``, ``search_verdict``, and ``search_logits`` (one row per split).
    """
    tried, draws = read_table(search_trials)
    trials = tried.of_size(ensemble_search.min_models)
    sessions = search_periods["sessions"].to_numpy()
    order = judgement.ranking(trials, sessions)
    finalists = finalist_measures.set_index("combination")
    best = int(order[0])
    report, logits = judgement.judge_luck(
        trials, best, finalists.loc[" + ".join(trials.combinations[best])], sessions, ensemble_search
    )
    folds = judgement.walk_forward(trials, draws, search_periods, ensemble_search)
    alike = search_correlations[search_correlations["of"] == "scores"]
    correlation = alike.pivot(index="model", columns="other", values="correlation")
    leaderboard = judgement.lead(trials, order, finalists, correlation, sessions)
    verdict = judgement.summarise_judgement(report, leaderboard, folds)
    return leaderboard, folds, verdict, pd.DataFrame({"logit": logits})


def attribute_returns(
    search_trials: pd.DataFrame, search_periods: pd.DataFrame, search_verdict: dict[str, Any]
) -> pd.DataFrame:
    """Attribute excess returns to models: over all combinations, and within the chosen one.

    Returns
    -------
    pandas.DataFrame
        ``method`` (``shapley`` or ``leave_one_out``), ``model``, ``value`` (annualised excess return above random
        scores), ``standard_error``, ``t``, ``pairs``.
    """
    trials, draws = read_table(search_trials)
    values = CombinationValues(
        trials.combinations,
        trials.period_sums[:, :, 0],
        np.asarray(draws.period_sums[:, :, 0].mean(axis=0)),
        search_periods["sessions"].to_numpy(),
    )
    tables = {
        "shapley": values.shapley(),
        "leave_one_out": values.leave_one_out(search_verdict["chosen"].split(" + ")),
    }
    parts = [table.reset_index().assign(method=method) for method, table in tables.items()]
    return pd.concat(parts, ignore_index=True)[["method", "model", "value", "standard_error", "t", "pairs"]]


@dataclass(frozen=True)
class SearchResults:
    """What a search has found, as tables; each is described where it is made."""

    search_verdict: dict[str, Any]
    search_periods: pd.DataFrame
    search_logits: pd.DataFrame
    search_leaderboard: pd.DataFrame
    finalist_curves: pd.DataFrame
    search_folds: pd.DataFrame
    search_attribution: pd.DataFrame
    search_correlations: pd.DataFrame


@takes_records(found=SearchResults)
def compose_search_page(
    found: SearchResults,
    account: AccountParameters,
    ensemble_search: EnsembleSearchParameters,
    order_generation: OrderGenerationParameters,
) -> str:
    """Compose the page of the search; beside its results it names the rules of the account that it does not follow.

    Returns
    -------
    str
        A self-contained HTML page; the same input gives the same bytes.
    """
    verdict = found.search_verdict
    return compose_page(
        title=f"{account.name}: ensemble search",
        header=page.write_header(verdict, found.search_periods, account.name, order_generation.not_backtested),
        links=page.LINKS,
        parts=[
            page.headline(verdict),
            page.verdict_section(verdict, found.search_logits),
            page.leaders_section(found.search_leaderboard, found.finalist_curves),
            page.walk_section(found.search_folds),
            page.attribution_section(found.search_attribution),
            page.similarity_section(found.search_correlations),
            page.provenance_section(ensemble_search),
        ],
        footer="This page contains all it needs: no part of it is loaded from a network.",
    )


def _exhaust(walk: Generator[Any, None, Result]) -> Result:
    """Run a generator that yields nothing, and take what it returns."""
    try:
        while True:
            next(walk)
    except StopIteration as end:
        result: Result = end.value
        return result
