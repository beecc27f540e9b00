"""The page of a search: verdict first, then who leads, who contributes, who is like whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from quant_pipeline.pipelines.ensemble_search import figures
from quant_pipeline.pipelines.ensemble_search.parameters import EnsembleSearchParameters
from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import (
    Card,
    Column,
    Html,
    cards,
    details,
    masthead,
    paragraph,
    picture,
    preformatted,
    section,
    side_by_side,
    table,
)

LEADERS_SHOWN = 25
BEATS = 0.05
"""Largest p-value of the tests of White and Hansen at which the benchmark counts as beaten."""
STAYS = 0.1
"""Largest probability of overfitting at which the best counts as better than the others."""
LINKS = (
    ("verdict", "Skill or luck"),
    ("leaders", "Leaders"),
    ("walk", "Walk forward"),
    ("attribution", "Attribution"),
    ("similarity", "Similarity"),
    ("provenance", "Provenance"),
)
MEASURES = (
    ("probabilistic_sharpe", "probabilistic Sharpe ratio", "that the true Sharpe ratio of the choice is above zero"),
    ("deflated_sharpe", "deflated Sharpe ratio", "that it is above what the best of so many useless trials shows"),
    (
        "backtest_overfitting",
        "probability of backtest overfitting",
        "that the best of one half of the time is below the median of the other half",
    ),
    ("reality_check", "p-value of White's reality check", "of so good a best one if none beats the benchmark"),
    ("superior_ability", "p-value of Hansen's test", "the same, studentised and without hopeless trials"),
)


def write_header(verdict: Mapping[str, Any], periods: pd.DataFrame, account: str, not_backtested: str = "") -> Html:
    """Write title and outcome in a few sentences.

    Parameters
    ----------
    verdict
        Outcome of the search.
    periods
        ``first``, ``last`` of the selection's periods.
    account
        Name of the account whose rules were used.
    not_backtested
        Sentence that names the rules of its orders which the search does not follow.
    """
    sentences = (
        f"{_two_verdicts(verdict)} {wording.plural(verdict['trials'], 'combination')} were backtested exactly from "
        f"{wording.day(periods['first'].iloc[0])} to {wording.day(periods['last'].iloc[-1])}. The best is "
        f"{verdict['chosen']} with a Sharpe ratio of {wording.ratio(verdict['excess_sharpe'])} over the benchmark. "
        f"That it is the best is {verdict['verdict']}, by the most severe of five measures."
        f" {not_backtested}".rstrip()
    )
    return masthead("Ensemble search", verdict["chosen"], sentences, account=account)


def _two_verdicts(verdict: Mapping[str, Any]) -> str:
    """Say both things: whether the combinations beat the benchmark, and whether the best is better than the others."""
    p = max(verdict["reality_check"], verdict["superior_ability"])
    overfitting = verdict["backtest_overfitting"]
    if p <= BEATS:
        beat = f"The combinations beat the benchmark by more than luck ({wording.p_value(p)})"
    else:
        beat = f"That the combinations beat the benchmark may be luck ({wording.p_value(p)})"
    if overfitting <= STAYS:
        return f"{beat}, and the best one stays ahead of the others: {overfitting:.0%} of the best fall behind later."
    return (
        f"{beat}, and the best one is not shown to be better than the others: {overfitting:.0%} of those that lead in "
        "one half of the time are below the median in the other."
    )


def headline(verdict: Mapping[str, Any]) -> Html:
    """Show the figures that a reader quotes."""
    rank = verdict["walk_forward_rank_correlation"]
    return cards(
        [
            Card(
                "Verdict", verdict["verdict"], "most severe of five", "verdict", verdict["verdict"] == "probably luck"
            ),
            Card(
                "Backtest overfitting",
                wording.percent(verdict["backtest_overfitting"]),
                "probability, noise is at 50%",
                "verdict",
            ),
            Card(
                "Deflated Sharpe ratio",
                wording.probability(verdict["deflated_sharpe"]),
                "probability of skill",
                "verdict",
            ),
            Card("Combinations tried", wording.count(verdict["trials"]), "each deflates the best", "leaders"),
            Card(
                "Sharpe ratio, selection",
                wording.ratio(verdict["excess_sharpe"]),
                "of excess returns, the best of all",
                "leaders",
            ),
            Card(
                "Sharpe ratio, walk forward",
                wording.ratio(verdict["walk_forward_sharpe"]),
                "chosen on the past only",
                "walk",
            ),
            Card(
                "Sharpe ratio, holdout",
                wording.ratio(verdict["holdout_excess_sharpe"]),
                "not known to the search",
                "leaders",
            ),
            Card("Ranks that last", wording.ratio(rank), "rank correlation, past to next fold", "walk"),
        ]
    )


def verdict_section(verdict: Mapping[str, Any], logits: pd.DataFrame) -> Html:
    """Return how much of the best result is luck."""
    judged = {reason.split(": ")[-1]: None for reason in verdict["reasons"]}
    rows = [
        {"measure": name, "value": verdict[key], "probability": what, "verdict": reason.rsplit(": ", 1)[1]}
        for (key, name, what), reason in zip(MEASURES, verdict["reasons"], strict=True)
    ]
    columns = [
        Column("measure", "measure", kind="text"),
        Column("value", "value", wording.probability),
        Column("verdict", "verdict", kind="tag"),
        Column("probability", "probability", kind="long"),
    ]
    agreement = (
        "The measures agree."
        if len(judged) == 1
        else "The measures answer different questions: the first two and the last two ask whether the best one beats "
        "the benchmark, the third whether it is better than the other combinations. Good models that are alike beat "
        "the benchmark by skill while the best among them is chosen by luck."
    )
    return section(
        "verdict",
        "Skill or luck",
        paragraph("The best of many backtests looks better than it is. ", agreement),
        table(pd.DataFrame(rows), columns, "Five measures on the selection sessions"),
        picture(figures.draw_logits(logits), "logits"),
    )


def leaders_section(leaderboard: pd.DataFrame, curves: pd.DataFrame) -> Html:
    """Show who leads."""
    columns = [
        Column("rank", "rank", wording.count),
        Column("combination", "combination", kind="long"),
        Column("excess_sharpe", "Sharpe ratio of excess", wording.ratio),
        Column("annualised_return", "return per year", wording.percent),
        Column("annualised_volatility", "volatility per year", wording.percent),
        Column("maximum_drawdown", "maximum drawdown", wording.percent),
        Column("annualised_turnover", "turnover per year", wording.times),
        Column("mean_correlation", "correlation of members", wording.ratio),
        Column("holdout_excess_sharpe", "holdout: Sharpe ratio of excess", wording.ratio),
        Column("holdout_annualised_return", "holdout: return per year", wording.percent),
    ]
    return section(
        "leaders",
        "Leaders",
        paragraph(
            "Ranked by the Sharpe ratio of excess returns in the selection sessions. The holdout columns stand beside "
            "the ranking: choosing by them would make the holdout a second selection."
        ),
        picture(figures.draw_risk_and_return(leaderboard), "risk-and-return"),
        table(leaderboard.head(LEADERS_SHOWN), columns, f"First {min(LEADERS_SHOWN, len(leaderboard))} of the ranking"),
        picture(figures.draw_finalists(curves), "finalists"),
    )


def walk_section(folds: pd.DataFrame) -> Html:
    """Show how choices of the past did afterwards."""
    columns = [
        Column("first", "fold from", wording.day, "text"),
        Column("last", "to", wording.day, "text"),
        Column("ranked_until", "ranked until", wording.day, "text"),
        Column("chosen", "chosen", kind="long"),
        Column("ranked_sharpe", "Sharpe ratio while ranked", wording.ratio),
        Column("sharpe", "in the fold", wording.ratio),
        Column("percentile", "place from last to first", wording.percent),
        Column("rank_correlation", "rank correlation", wording.ratio),
    ]
    return section(
        "walk",
        "Walk forward",
        paragraph(
            "Every fold ranks all combinations on what lies before it, leaves an embargo, and measures the first one "
            "on the fold. Nothing of a fold is known to its own choice."
        ),
        picture(figures.draw_folds(folds), "folds"),
        table(folds, columns, "Folds"),
    )


def attribution_section(attribution: pd.DataFrame) -> Html:
    """Show what each model adds to returns."""
    columns = [
        Column("model", "model", kind="text"),
        Column("value", "adds per year", wording.percent_signed, "signed"),
        Column("standard_error", "standard error", wording.percent),
        Column("t", "t statistic", wording.ratio),
        Column("pairs", "comparisons", wording.count),
    ]
    parts = attribution.sort_values("value", ascending=False)
    captions = {"shapley": "Over all combinations tried (Shapley)", "leave_one_out": "Chosen one without the model"}
    return section(
        "attribution",
        "Attribution",
        paragraph(
            "What a model adds to the excess return of exact backtests, against a strategy that draws lots. It is no "
            "measure of similarity: a model of pure noise adds about nothing, or a little less than nothing beside "
            "good models, which it dilutes."
        ),
        picture(figures.draw_attribution(attribution), "attribution-bars"),
        *(table(parts[parts["method"] == method], columns, caption) for method, caption in captions.items()),
    )


def similarity_section(correlations: pd.DataFrame) -> Html:
    """Show which models are alike."""
    pictures = [
        picture(figures.draw_similarity(correlations, kind), f"{kind}-similarity") for kind in ("scores", "returns")
    ]
    return section(
        "similarity",
        "Similarity",
        paragraph(
            "Models that agree add little to each other; clusters suggest families of which one member is enough."
        ),
        side_by_side(*pictures),
    )


def provenance_section(search: EnsembleSearchParameters) -> Html:
    """Show the parameters."""
    return section(
        "provenance",
        "Provenance",
        paragraph(
            "Every backtest is exact: the strategy, costs and market rules of the account, session by session. Results "
            "are kept by the content of scores, rules and code, so a repeated search only runs what is new."
        ),
        details("Parameters of the search", preformatted(search.model_dump_json(indent=2))),
    )
