"""Nodes of the daily report: its tables, its figures, the page, the summary in the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.currencies import unit_of_amounts
from quant_pipeline.pipelines.backtest.facts import digest_of_nav, hash_of_parameters
from quant_pipeline.pipelines.backtest.figures import draw_drawdown, draw_net_asset_value
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.reporting import figures, headline
from quant_pipeline.pipelines.reporting.context import ReportContext, describe_run
from quant_pipeline.pipelines.reporting.next_steps import AccountInReport
from quant_pipeline.pipelines.reporting.parameters import ReportParameters
from quant_pipeline.pipelines.reporting.sections import find_section
from quant_pipeline.pipelines.reporting.summary import summary_text
from quant_pipeline.pipelines.wiring import takes_records
from quant_pipeline.reports.page import compose_page
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.trading.ledger.events import Event
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules

HEADLINE = ("backtest_nav", "backtest_performance", "ic_series", "orders", "account_nav", "data_quality")
"""Datasets that the verdict and the cards above all sections show."""
OF_THE_BACKTEST = (
    "backtest_nav",
    "backtest_trades",
    "backtest_positions",
    "backtest_performance",
    "combination_comparison",
    "combination_nav",
)
"""Results of a backtest."""


def tables_of(report: ReportParameters) -> list[str]:
    """Return the datasets that a report shows, each once."""
    shown = [name for section in report.sections for name in find_section(section).inputs]
    return list(dict.fromkeys([*HEADLINE, "backtest_facts", *shown]))


def of_own_backtest(facts: Mapping[str, Any], wanted: str, tables: Mapping[str, Any]) -> dict[str, Any]:
    """Empty the results of a backtest that is not the account's own or was not saved to its end: they are not shown.

    Parameters
    ----------
    facts
        ``backtest_facts``; empty before the first backtest.
    wanted
        `hash_of_parameters` of the account.
    tables
        Datasets by name, ``backtest_nav`` among them.
    """
    if facts.get("hash") == wanted and facts.get("nav") == digest_of_nav(tables["backtest_nav"]):
        return dict(tables)
    return {name: _emptied(table) if name in OF_THE_BACKTEST else table for name, table in tables.items()}


def _emptied(table: Any) -> Any:
    return table.iloc[:0] if isinstance(table, pd.DataFrame) else {}


def context_of(
    report: ReportParameters,
    market_rules: MarketRules,
    ensemble: EnsembleParameters,
    label: LabelParameters,
    as_of: str,
    parameters: dict[str, Any],
    account: AccountParameters,
    execution: ExecutionRules,
    events: Sequence[Event],
) -> ReportContext:
    """Describe where a report stands by the blocks of the parameters and the ledger."""
    own = AccountInReport(account, execution, tuple(events))
    return describe_run(report, as_of, market_rules, ensemble.default, label.horizon, parameters, own)


def draw_figures(
    backtest_nav: pd.DataFrame,
    ic_series: pd.DataFrame,
    market_rules: MarketRules,
    backtest_facts: dict[str, Any],
    parameters: dict[str, Any],
) -> tuple[go.Figure, go.Figure, go.Figure]:
    """Draw the three figures that the lineage previews.

    Parameters
    ----------
    backtest_nav
        ``date``, ``nav``, ``benchmark``.
    ic_series
        ``date``, ``model``, ``rank_ic``.
    market_rules
        Names the exchange, whose currency amounts are in.
    backtest_facts, parameters
        A backtest of other parameters is not drawn.

    Returns
    -------
    tuple of plotly.graph_objects.Figure
        Net asset value, drawdown, cumulative rank IC.
    """
    own = of_own_backtest(backtest_facts, hash_of_parameters(parameters), {"backtest_nav": backtest_nav})
    return (
        draw_net_asset_value(own["backtest_nav"], unit_of_amounts(market_rules.calendar)),
        draw_drawdown(own["backtest_nav"]),
        figures.draw_cumulative_information(ic_series),
    )


@takes_records(context=context_of)
def compose_report(context: ReportContext, report: ReportParameters, **tables: Any) -> str:
    """Compose the page of a run, from the headline down to where the numbers come from.

    Parameters
    ----------
    context
        Where the report stands.
    report
        Its sections.
    **tables
        Datasets by name, those of `tables_of`. Any may be empty; its section then says so.

    Returns
    -------
    str
        A self-contained HTML page; the same input gives the same bytes.
    """
    context = context.with_backtest(tables["backtest_facts"])
    tables = of_own_backtest(tables["backtest_facts"], context.backtest_hash, tables)
    sections = [find_section(name) for name in report.sections]
    shown = {name: tables[name] for name in HEADLINE}
    verdict = headline.write_verdict(
        context,
        *(tables[name] for name in ("backtest_nav", "backtest_performance", "orders", "data_quality", "account_nav")),
    )
    parts = [section.write(context, **{name: tables[name] for name in section.inputs}) for section in sections]
    return compose_page(
        title=f"{context.account} {context.as_of:%Y-%m-%d}: strategy report",
        header=headline.write_header(context, verdict),
        links=[(section.name, section.link) for section in sections],
        parts=[headline.headline_cards(context, **shown), *parts],
        footer="This page contains all it needs: no part of it is loaded from a network.",
    )


@takes_records(context=context_of)
def summarise(
    context: ReportContext,
    ic_series: pd.DataFrame,
    backtest_nav: pd.DataFrame,
    backtest_performance: dict[str, float | None],
    backtest_facts: dict[str, Any],
    combination_comparison: pd.DataFrame,
    orders: pd.DataFrame,
    account_nav: pd.DataFrame,
    missed_sessions: pd.DataFrame,
    report_page: str,
) -> str:
    """Write the summary that a run ends with.

    Parameters
    ----------
    context
        Where the report stands.
    ic_series, backtest_nav, backtest_performance, combination_comparison, orders, account_nav, missed_sessions
        Its content.
    backtest_facts
        A backtest of other parameters is left out.
    report_page
        The page; only its being there matters.

    Returns
    -------
    str
        Plain text.
    """
    results = {
        "backtest_nav": backtest_nav,
        "backtest_performance": backtest_performance,
        "combination_comparison": combination_comparison,
    }
    own = of_own_backtest(backtest_facts, context.backtest_hash, results)
    return summary_text(
        context.with_backtest(backtest_facts),
        ic_series,
        orders=orders,
        account_nav=account_nav,
        missed_sessions=missed_sessions,
        **own,
    )
