"""Compose: the page about evaluated factors."""

from collections.abc import Sequence

import pandas as pd

from quant_pipeline.pipelines.factor_evaluation import figures
from quant_pipeline.pipelines.factor_evaluation.parameters import FactorEvaluationParameters
from quant_pipeline.pipelines.market_tables import TradingRules
from quant_pipeline.pipelines.wiring import takes_records
from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import (
    Card,
    Column,
    Html,
    cards,
    details,
    facts,
    masthead,
    paragraph,
    picture,
    section,
    table,
)
from quant_pipeline.reports.page import compose_page

DISCOVERY_RATE = 0.05
LINKS = (
    ("ranking", "Ranking"),
    ("decay", "Decay"),
    ("quantiles", "Quantiles"),
    ("persistence", "Persistence"),
    ("relations", "Relations"),
    ("method", "Method"),
)

RANKING = (
    Column("factor", "factor", kind="text"),
    Column("rank_ic", "rank IC", wording.coefficient, "signed"),
    Column("rank_ic_band", "band"),
    Column("rank_ic_t", "t", wording.ratio),
    Column("false_discovery_rate", "false discovery rate", wording.percent),
    Column("rank_icir", "rank ICIR", wording.ratio),
    Column("rank_icir_band", "band"),
    Column("ic", "IC", wording.coefficient),
    Column("icir", "ICIR", wording.ratio),
    Column("spread", "highest less lowest quantile", wording.percent_exact, "signed"),
)
HELD = (
    Column("factor", "factor", kind="text"),
    Column("monotonicity", "monotonicity", wording.ratio),
    Column("topk_return", "return a year, held", wording.percent, "signed"),
    Column("topk_sharpe", "Sharpe ratio, held", wording.ratio),
    Column("topk_turnover", "turnover a year, held", wording.times),
    Column("best_horizon", "best horizon", wording.count),
    Column("autocorrelation", "autocorrelation", wording.ratio),
    Column("replaced", "new in outer quantiles", wording.percent),
    Column("coverage", "coverage", wording.percent, "share"),
    Column("nearest_known", "nearest known", kind="text"),
    Column("correlation_with_known", "correlation", wording.ratio),
)
EXPRESSIONS = (Column("factor", "factor", kind="text"), Column("source", "expression or file", kind="long"))


@takes_records(rules=TradingRules)
def compose_factor_page(
    factor_summary: pd.DataFrame,
    factor_decay: pd.DataFrame,
    factor_quantiles: pd.DataFrame,
    factor_sessions: pd.DataFrame,
    factor_correlations: pd.DataFrame,
    factor_evaluation: FactorEvaluationParameters,
    rules: TradingRules,
    as_of: str,
) -> str:
    """Compose the page, from the verdict down to how it was reached.

    Parameters
    ----------
    factor_summary, factor_decay, factor_quantiles, factor_sessions, factor_correlations
        Tables of the evaluation.
    factor_evaluation, rules, as_of
        How and when it was made, and the rules by which factors are held.

    Returns
    -------
    str
        A self-contained HTML page; the same input gives the same bytes.
    """
    order = list(factor_summary["factor"])
    lines, rows = order[: figures.SHOWN_AS_LINES], order[: figures.SHOWN_AS_ROWS]
    horizon = factor_evaluation.horizons[0]
    shown = "" if len(order) <= len(lines) else f" The {len(lines)} strongest of {len(order)} factors are drawn."
    parts = [
        cards(_headline(factor_summary, factor_sessions)),
        _ranking(factor_summary, factor_evaluation, rules),
        section(
            "decay",
            "Does it last?",
            paragraph(f"How the edge changes with the horizon, and how steady it was.{shown}"),
            picture(figures.draw_decay(factor_decay, lines), "decay-figure"),
            picture(figures.draw_cumulative(factor_sessions, lines, "rank_ic"), "cumulative-rank-ic"),
        ),
        section(
            "quantiles",
            "What would it earn?",
            paragraph("Instruments of a session are cut into groups by the factor; equal values stay together."),
            picture(figures.draw_quantiles(factor_quantiles, lines, horizon), "quantile-figure"),
            picture(figures.draw_cumulative(factor_sessions, lines, "spread"), "cumulative-spread"),
        ),
        section(
            "persistence",
            "What would it cost?",
            picture(figures.draw_persistence(factor_summary), "persistence-figure"),
        ),
        section(
            "relations", "Is it new?", picture(figures.draw_relations(factor_correlations, rows), "relations-figure")
        ),
        _method(factor_summary, factor_evaluation, rules, factor_sessions),
    ]
    return compose_page(
        title=f"Factor evaluation {as_of}",
        header=_header(factor_summary, factor_sessions, factor_evaluation, as_of),
        links=LINKS,
        parts=parts,
        footer="This page contains all it needs: no part of it is loaded from a network.",
    )


def _header(summary: pd.DataFrame, sessions: pd.DataFrame, parameters: FactorEvaluationParameters, as_of: str) -> Html:
    best = summary.iloc[0]
    findings = int((summary["false_discovery_rate"] <= DISCOVERY_RATE).sum())
    net = "" if parameters.net_of == "nothing" else f", net of {parameters.net_of.replace('_', ' ')}"
    verdict = (
        f"{wording.plural(len(summary), 'factor')}{net}, "
        f"{wording.day(sessions['date'].min())} to {wording.day(sessions['date'].max())}. "
        f"{findings} of {len(summary)} would be called findings at a false discovery rate of "
        f"{wording.percent(DISCOVERY_RATE)}. Strongest: {best['factor']} with a mean rank IC of "
        f"{wording.coefficient(best['rank_ic'])} ({wording.coefficient(best['rank_ic_lower'])} to "
        f"{wording.coefficient(best['rank_ic_upper'])})."
    )
    return masthead("Factor evaluation", wording.long_day(as_of), verdict)


def _headline(summary: pd.DataFrame, sessions: pd.DataFrame) -> list[Card]:
    best = summary.iloc[0]
    return [
        Card("strongest factor", str(best["factor"]), f"t {wording.ratio(best['rank_ic_t'])}", "ranking"),
        Card(
            "its rank IC",
            wording.coefficient(best["rank_ic"]),
            f"rank ICIR {wording.ratio(best['rank_icir'])}",
            "decay",
        ),
        Card(
            "its quantiles",
            wording.percent_exact(best["spread"]),
            "highest less lowest, mean a session",
            "quantiles",
        ),
        Card(
            "its nearest known",
            wording.ratio(best["correlation_with_known"]),
            wording.text(best["nearest_known"]),
            "relations",
        ),
        Card(
            "coverage",
            wording.percent(summary["coverage"].mean()),
            f"{wording.plural(sessions['date'].nunique(), 'session')}",
            "ranking",
        ),
    ]


def _ranking(summary: pd.DataFrame, parameters: FactorEvaluationParameters, rules: TradingRules) -> Html:
    written = summary.assign(
        rank_ic_band=_bands(summary, "rank_ic", wording.coefficient),
        rank_icir_band=_bands(summary, "rank_icir", wording.ratio),
    )
    confidence = wording.percent(parameters.confidence)
    span = wording.plural(parameters.horizons[0], "session")
    return section(
        "ranking",
        "Which factors know something?",
        paragraph(
            "The rank IC correlates the ranks of factor and return within a session. t and false discovery rate allow "
            "for sessions that depend on each other and for having tried all factors of this page at once, but not for "
            "those tried before it. ICIR is the mean over the standard deviation of the sessions, not annualised."
        ),
        *_with_rest(written, RANKING, f"Factors over {span}, strongest first; bands of {confidence}"),
        paragraph(
            f"Held: an account that keeps the {rules.strategy.topk} instruments with the highest values, by the rules "
            "and after the costs of the account, over all sessions. A factor that sorts the other way loses here; put "
            "-1* before it. Monotonicity correlates the numbers of the quantiles with the ranks of their mean returns: "
            "1 is a staircase. Autocorrelation is that of the ranks of one session with those of the session before. "
            "New in outer quantiles is the part of the highest and the lowest quantile that was not there the session "
            "before. Coverage is the part of the universe that has a value."
        ),
        *_with_rest(written, HELD, "How they trade, how long they last, and what they are like"),
    )


def _with_rest(summary: pd.DataFrame, columns: Sequence[Column], caption: str) -> list[Html]:
    """Show the strongest factors, and fold the others away."""
    rest = summary.iloc[figures.SHOWN_AS_ROWS :]
    folded = [details(f"{len(rest)} more factors", table(rest, columns, f"{caption}: the others"))] if len(rest) else []
    return [table(summary.head(figures.SHOWN_AS_ROWS), columns, caption), *folded]


def _bands(summary: pd.DataFrame, name: str, write: wording.Write) -> list[str]:
    ends = zip(summary[f"{name}_lower"], summary[f"{name}_upper"], strict=True)
    return [f"{write(lower)} to {write(upper)}" for lower, upper in ends]


def _method(
    summary: pd.DataFrame, parameters: FactorEvaluationParameters, rules: TradingRules, sessions: pd.DataFrame
) -> Html:
    price = rules.market_rules.deal_price
    first = parameters.horizons[0]
    return section(
        "method",
        "How this was measured",
        *_with_rest(summary, EXPRESSIONS, "What each factor is"),
        facts(
            [
                (
                    "return",
                    f"{price} of the next session to {price} {first} sessions later; what a "
                    "decision at the close would have earned, before costs",
                ),
                (
                    "held",
                    f"exact backtest of the strategy of account {rules.account.name} ({rules.strategy.method}, topk "
                    f"{rules.strategy.topk}), the values as they are, net of nothing; Sharpe above "
                    f"{wording.percent(rules.market_rules.risk_free_rate)} a year",
                ),
                ("universe", "members of the session, by what was known then"),
                ("net of", parameters.net_of.replace("_", " ")),
                (
                    "sessions",
                    f"{sessions['date'].nunique():,}; fewer than {parameters.min_cross_section} pairs do not count",
                ),
                ("errors of means", "Newey and West (1987), lags by the horizon and the 1994 rule"),
                (
                    "bands of ICIR",
                    f"circular block bootstrap (Politis and Romano 1992), {parameters.resamples} resamples, "
                    f"seed {parameters.seed}",
                ),
                ("false discovery rate", "Benjamini and Yekutieli (2001)"),
                ("correlations", f"ranks within at most {parameters.correlation_sessions} sessions at equal distances"),
            ]
        ),
    )
