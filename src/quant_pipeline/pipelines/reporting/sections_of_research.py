"""Sections on what models know and would have earned: backtest, scores, combinations, turnover and costs."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from quant_pipeline.pipelines.reporting import figures, measures
from quant_pipeline.pipelines.reporting.context import ReportContext
from quant_pipeline.pipelines.reporting.sections import Section
from quant_pipeline.reports import wording
from quant_pipeline.reports.definitions import COEFFICIENTS, DEFINITIONS, define
from quant_pipeline.reports.elements import (
    Column,
    Html,
    heat_table,
    paragraph,
    picture,
    run_first,
    section,
    side_by_side,
    table,
)

NO_BACKTEST = "No backtest of the present parameters has been run."
MEASURES: tuple[tuple[str, str, wording.Write], ...] = (
    ("total_return", "total return", wording.percent),
    ("annualised_return", "return per year, compound", wording.percent),
    ("annualised_volatility", "volatility per year", wording.percent),
    ("risk_free_rate", "risk-free rate per year", wording.percent),
    ("sharpe", "Sharpe ratio", wording.ratio),
    ("sortino", "Sortino ratio", wording.ratio),
    ("calmar", "Calmar ratio", wording.ratio),
    ("maximum_drawdown", "maximum drawdown", wording.percent),
    ("longest_drawdown_sessions", "longest drawdown, sessions", wording.count),
    ("win_rate", "sessions with a gain", wording.percent),
    ("profit_factor", "profit factor", wording.ratio),
)
RELATIVE_MEASURES: tuple[tuple[str, str, wording.Write], ...] = (
    ("annualised_excess_return", "excess return per year", wording.percent_signed),
    ("information_ratio", "information ratio", wording.ratio),
    ("tracking_error", "tracking error per year", wording.percent),
    ("alpha", "alpha per year", wording.percent_signed),
    ("beta", "beta", wording.ratio),
    ("annualised_turnover", "turnover per year, buys plus sales", wording.times),
    ("cost_drag", "return lost to costs per year", wording.percent_exact),
)


def backtest_section(
    context: ReportContext,
    nav_figure: go.Figure,
    drawdown_figure: go.Figure,
    backtest_nav: pd.DataFrame,
    backtest_performance: Mapping[str, float | None],
) -> Html:
    """Show what the default combination would have earned.

    Parameters
    ----------
    context
        Where the report stands.
    nav_figure, drawdown_figure
        Drawn by `figures`.
    backtest_nav, backtest_performance
        Results of the backtest; empty before the first one.
    """
    if backtest_nav.empty:
        return section("backtest", "Backtest", run_first(NO_BACKTEST, context.command("backtest")))
    first, last = wording.day(backtest_nav["date"].iloc[0]), wording.day(backtest_nav["date"].iloc[-1])
    compared = measures.compare_measures(backtest_nav, backtest_performance)
    months = measures.monthly_returns(backtest_nav)
    months_table = (
        heat_table(months, measures.MONTHS, "Return by month and year; the first and the last year may be partial")
        if len(months)
        else Html("")
    )
    return section(
        "backtest",
        "Backtest",
        paragraph(
            f"Combination {context.combination}, {first} to {last}, {len(backtest_nav):,} sessions out of sample. "
            f"Decided at {context.decides}, executed at the next {context.deal_price}, after fees and slippage."
            f" {context.not_backtested}".rstrip()
        ),
        picture(nav_figure, "net-asset-value", scale_choice=True),
        picture(drawdown_figure, "drawdown"),
        months_table,
        side_by_side(_measures_table(compared), _relative_table(compared)),
        paragraph(define(DEFINITIONS)),
    )


def costs_section(context: ReportContext, backtest_nav: pd.DataFrame, backtest_trades: pd.DataFrame) -> Html:
    """Show how much was traded in the backtest, and what that cost.

    Parameters
    ----------
    context
        Where the report stands.
    backtest_nav, backtest_trades
        Results of the backtest; empty before the first one.
    """
    if backtest_nav.empty:
        return section("costs", "Turnover and costs", run_first(NO_BACKTEST, context.command("backtest")))
    columns = [
        Column("year", "year", str, "text"),
        Column("turnover", "turnover", wording.times),
        Column("cost", f"cost, {context.currency}", wording.amount),
        Column("cost_share", "cost over the mean net asset value", wording.percent_exact),
        Column("sessions", "sessions", wording.count),
    ]
    parts = [table(measures.yearly_costs(backtest_nav), columns, "Turnover and costs by year")]
    if len(backtest_trades):
        outcome_columns = [
            Column("status", "outcome", lambda value: str(value).replace("_", " "), "text"),
            Column("message", "why", wording.text, "long"),
            Column("orders", "orders", wording.count),
            Column("share", "part of all", wording.percent),
        ]
        outcomes = measures.order_outcomes(backtest_trades)
        parts.append(table(outcomes, outcome_columns, "How the orders of the backtest ended"))
    return section(
        "costs",
        "Turnover and costs",
        paragraph(
            "Turnover is the value bought plus the value sold, as times the net asset value. "
            "Cost is fees plus slippage."
        ),
        picture(figures.draw_turnover(backtest_nav, context.currency), "turnover"),
        *parts,
    )


def scores_section(
    context: ReportContext, ic_figure: go.Figure, ic_series: pd.DataFrame, live_scores: str | None
) -> Html:
    """Show how well the scores order the returns that follow, and what was scored while the session went on.

    Parameters
    ----------
    context
        Where the report stands.
    ic_figure
        Cumulative rank ICs.
    ic_series
        ``date``, ``model``, ``ic``, ``rank_ic``; empty before any label of a test session is realised.
    live_scores
        The file of the process that watches the market, see `measures.live_scores_table`; None without one.
    """
    live = _live(context, live_scores)
    if ic_series.empty:
        return section("scores", "Scores", run_first("No rank IC is known.", context.command("ensemble")), *live)
    columns = [
        Column("model", "model", kind="text"),
        Column("rank_ic", "rank IC", wording.coefficient),
        Column("rank_icir", "rank ICIR", wording.ratio),
        Column("rank_ic_t", "t statistic", wording.ratio),
        Column("ic", "IC", wording.coefficient),
        Column("icir", "ICIR", wording.ratio),
        Column("positive_share", "sessions above zero", wording.percent),
        Column("sessions", "sessions", wording.count),
    ]
    measured = measures.information_table(ic_series)
    measured["rank_ic_t"] = measured["model"].map(measures.rank_ic_tests(ic_series, context.horizon))
    span = "one session" if context.horizon == 1 else f"{context.horizon} sessions"
    return section(
        "scores",
        "Scores",
        paragraph(
            f"{COEFFICIENTS} Returns are over {span} from {context.deal_price} to {context.deal_price}. "
            "The t statistic has Newey-West errors, which allow for sessions that repeat each other, as those of "
            "overlapping returns do. "
            f"{context.other_labels}".rstrip()
        ),
        picture(ic_figure, "cumulative-information"),
        picture(figures.draw_rolling_information(ic_series), "rolling-information"),
        table(measured, columns, "Information coefficients, daily means", figures.FUSED),
        *live,
    )


def _live(context: ReportContext, live_scores: str | None) -> list[Html]:
    """Show the last scores of the session from the process that watched it, next to the bundles behind the orders."""
    scored = measures.live_scores_table(live_scores, context.as_of)
    if scored.empty:
        return []
    scored["of_orders"] = [
        "the same" if context.scored_by.get(model) == bundle else context.scored_by.get(model, "none")
        for model, bundle in zip(scored["model"], scored["bundle"], strict=True)
    ]
    columns = [
        Column("model", "model", kind="text"),
        Column("bundle", "bundle", kind="text"),
        Column("of_orders", "bundle behind the orders", kind="text"),
        Column("instruments", "instruments", wording.count),
        Column("best", "highest scores", kind="long"),
    ]
    said = (
        f"While the session went on, it was scored as if it closed at that moment; these are the last scores, of "
        f"{scored['at'].iloc[0]:%H:%M} UTC. With all bars of the session and the same bundle they equal those of the "
        "daily run to the last bit."
    )
    return [paragraph(said), table(scored, columns, "Live scores of the session")]


def combinations_section(
    context: ReportContext,
    combination_comparison: pd.DataFrame,
    combination_nav: pd.DataFrame,
    ensemble_weights: pd.DataFrame,
    ensemble_weight_history: pd.DataFrame,
) -> Html:
    """Compare the combinations and show their weights.

    Parameters
    ----------
    context
        Names the default combination.
    combination_comparison, combination_nav, ensemble_weights, ensemble_weight_history
        Results of the backtest and of the ensemble; empty before.
    """
    if combination_comparison.empty and ensemble_weights.empty:
        nothing = run_first("No combination has been tried.", context.command("ensemble,backtest"))
        return section("combinations", "Combinations", nothing)
    parts = [
        paragraph(
            f"Orders come from {context.combination}, in bold. All are traded by the same rules in the same sessions, "
            "so the best one of many looks better than it is. Rank ICs are on the returns that Scores names."
        )
    ]
    if len(combination_comparison):
        columns = [
            Column("combination", "combination", kind="text"),
            Column("method", "weights by", kind="text"),
            Column("rank_ic", "rank IC", wording.coefficient),
            Column("icir", "rank ICIR", wording.ratio),
            Column("annualised_return", "return per year", wording.percent),
            Column("sharpe", "Sharpe ratio", wording.ratio),
            Column("maximum_drawdown", "maximum drawdown", wording.percent),
            Column("members", "members", kind="long"),
        ]
        parts.append(table(combination_comparison, columns, "Every enabled combination", context.combination))
    if len(combination_nav):
        alike = measures.correlation_of_combinations(combination_nav)
        names = [Column(name, name, wording.ratio) for name in alike.columns]
        columns = [Column("combination", "combination", kind="text"), *names]
        parts.append(
            picture(
                figures.draw_combinations(combination_nav, context.combination, context.currency), "combination-values"
            )
        )
        parts.append(table(alike.reset_index(), columns, "Correlation of daily returns", context.combination))
    if len(ensemble_weights):
        wide = ensemble_weights.pivot(index="combination", columns="model", values="weight").reset_index()
        models = [Column(name, name, wording.percent, "share") for name in wide.columns[1:]]
        columns = [Column("combination", "combination", kind="text"), *models]
        parts.append(table(wide, columns, "Weights in force", context.combination))
    renewed = ensemble_weight_history.groupby("combination")["session"].nunique()
    parts += [
        picture(figures.draw_weights(ensemble_weight_history, str(name)), f"weights-{index}")
        for index, name in enumerate(renewed.index[renewed > 1])
    ]
    return section("combinations", "Combinations", *parts)


def _measures_table(compared: pd.DataFrame) -> Html:
    return _written_table(compared, MEASURES, ["strategy", "benchmark"], "Strategy and benchmark")


def _relative_table(compared: pd.DataFrame) -> Html:
    return _written_table(compared, RELATIVE_MEASURES, ["strategy"], "Against the benchmark, and costs")


def _written_table(
    compared: pd.DataFrame, chosen: tuple[tuple[str, str, wording.Write], ...], sides: list[str], caption: str
) -> Html:
    """Write each row in its own unit; a table of columns cannot."""
    rows = [
        {"measure": label, **{side: write(compared.loc[key, side]) for side in sides}}
        for key, label, write in chosen
        if key in compared.index
    ]
    if not rows:
        return Html("")
    columns = [Column("measure", "measure", kind="text"), *(Column(side, side) for side in sides)]
    return table(pd.DataFrame(rows), columns, caption)


BACKTEST = Section("backtest", "Backtest", backtest_section)
SCORES = Section("scores", "Scores", scores_section)
COMBINATIONS = Section("combinations", "Combinations", combinations_section)
COSTS = Section("costs", "Costs", costs_section)
