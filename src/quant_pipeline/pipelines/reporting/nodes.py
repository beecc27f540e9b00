"""Nodes of reporting."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.reporting import figures, headline, sections_of_account, sections_of_research
from quant_pipeline.pipelines.reporting.context import describe_run
from quant_pipeline.pipelines.reporting.page import compose_page
from quant_pipeline.pipelines.reporting.parameters import ReportParameters
from quant_pipeline.pipelines.reporting.summary import summary_text
from quant_pipeline.strategy.rules import MarketRules

LINKS = (
    ("backtest", "Backtest"),
    ("scores", "Scores"),
    ("combinations", "Combinations"),
    ("costs", "Costs"),
    ("orders", "Orders"),
    ("account", "Account"),
    ("data", "Data"),
    ("next", "Next"),
    ("provenance", "Provenance"),
)


def draw_figures(backtest_nav: pd.DataFrame, ic_series: pd.DataFrame) -> tuple[go.Figure, go.Figure, go.Figure]:
    """Draw the three figures that the lineage previews.

    Parameters
    ----------
    backtest_nav
        ``date``, ``nav``, ``benchmark``.
    ic_series
        ``date``, ``model``, ``rank_ic``.

    Returns
    -------
    tuple of plotly.graph_objects.Figure
        Net asset value, drawdown, cumulative rank IC.
    """
    return (
        figures.draw_net_asset_value(backtest_nav),
        figures.draw_drawdown(backtest_nav),
        figures.draw_cumulative_information(ic_series),
    )


def compose_report(
    nav_figure: go.Figure,
    drawdown_figure: go.Figure,
    ic_figure: go.Figure,
    backtest_nav: pd.DataFrame,
    backtest_performance: dict[str, float | None],
    backtest_trades: pd.DataFrame,
    combination_comparison: pd.DataFrame,
    combination_nav: pd.DataFrame,
    ensemble_weights: pd.DataFrame,
    ensemble_weight_history: pd.DataFrame,
    ic_series: pd.DataFrame,
    orders: pd.DataFrame,
    holdings: pd.DataFrame,
    account_nav: pd.DataFrame,
    data_quality: pd.DataFrame,
    report: ReportParameters,
    market_rules: MarketRules,
    ensemble: EnsembleParameters,
    label: LabelParameters,
    as_of: str,
    parameters: dict[str, Any],
) -> str:
    """Compose the page of a run, from the headline down to where the numbers come from.

    Parameters
    ----------
    nav_figure, drawdown_figure, ic_figure
        Figures drawn before.
    backtest_nav, backtest_performance, backtest_trades, combination_comparison, combination_nav
        The backtests. Any may be empty; its section then says so.
    ensemble_weights, ensemble_weight_history, ic_series
        The ensemble, in the same way.
    orders, holdings, account_nav
        The account at ``as_of`` and its next orders.
    data_quality
        Findings of ingestion.
    report, market_rules, ensemble, label, as_of
        Where the report stands.
    parameters
        All parameters of the run, for its provenance.

    Returns
    -------
    str
        A self-contained HTML page; the same input gives the same bytes.
    """
    context = describe_run(report, as_of, market_rules, ensemble.default, label.horizon, parameters)
    verdict = headline.write_verdict(context, backtest_nav, backtest_performance, orders, data_quality)
    parts = [
        headline.headline_cards(
            context, backtest_performance, backtest_nav, ic_series, orders, account_nav, data_quality
        ),
        sections_of_research.backtest_section(context, nav_figure, drawdown_figure, backtest_nav, backtest_performance),
        sections_of_research.scores_section(context, ic_figure, ic_series),
        sections_of_research.combinations_section(
            context, combination_comparison, combination_nav, ensemble_weights, ensemble_weight_history
        ),
        sections_of_research.costs_section(context, backtest_nav, backtest_trades),
        sections_of_account.orders_section(context, orders),
        sections_of_account.account_section(context, holdings, account_nav),
        sections_of_account.data_section(data_quality),
        sections_of_account.next_section(context),
        sections_of_account.provenance_section(context),
    ]
    return compose_page(
        title=f"{context.account} {as_of}: strategy report",
        header=headline.write_header(context, verdict),
        links=LINKS,
        parts=parts,
        footer="This page contains all it needs: no part of it is loaded from a network.",
    )


def summarise(
    ic_series: pd.DataFrame,
    backtest_nav: pd.DataFrame,
    backtest_performance: dict[str, float | None],
    combination_comparison: pd.DataFrame,
    orders: pd.DataFrame,
    account_nav: pd.DataFrame,
    report_page: str,
    report: ReportParameters,
    market_rules: MarketRules,
    ensemble: EnsembleParameters,
    label: LabelParameters,
    as_of: str,
    parameters: dict[str, Any],
) -> str:
    """Write the summary that a run ends with.

    Parameters
    ----------
    ic_series, backtest_nav, backtest_performance, combination_comparison, orders, account_nav
        Its content.
    report_page
        The page; only its being there matters.
    report, market_rules, ensemble, label, as_of, parameters
        Where the report stands.

    Returns
    -------
    str
        Plain text.
    """
    context = describe_run(report, as_of, market_rules, ensemble.default, label.horizon, parameters)
    return summary_text(
        context, ic_series, backtest_nav, backtest_performance, combination_comparison, orders, account_nav
    )
