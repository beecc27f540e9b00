"""``kedro backtest``: the stored backtests of an account, two of them side by side, one in another engine."""

from __future__ import annotations

from typing import Any

import click

from quant_pipeline.cli.backtest_exchange import export, verdict
from quant_pipeline.cli.options import ProjectGroup, env_option, params_option
from quant_pipeline.cli.sessions import Place, as_typed
from quant_pipeline.cli.stored_backtests import BUNDLES, read_backtest, reports_of, stored_backtests
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project.backtest_folder import CALLED


@click.group(cls=ProjectGroup)
def backtest() -> None:
    """List the backtests of an account, compare two of them, let another engine execute one."""


backtest.add_command(export)
backtest.add_command(verdict)


@backtest.command(name="list")
@env_option
@params_option
@click.pass_obj
def list_backtests(metadata: Place, env: str | None, params: dict[str, Any]) -> None:
    """Show every stored backtest, first the account's own, with what differs from it."""
    from rich.console import Console
    from rich.table import Table

    from quant_pipeline.cli.opened_project import open_project
    from quant_pipeline.evaluation.performance import measure_performance
    from quant_pipeline.pipelines.backtest.facts import decisive_parameters, differences
    from quant_pipeline.reports import wording

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("backtest", "sessions", "return", "Sharpe", "drawdown", "turnover", "other parameters (own)"):
        table.add_column(column)
    with open_project(metadata, env, params) as opened:
        folders = stored_backtests(opened)
        behind = read_backtest(CALLED, folders).parameters[BUNDLES] if CALLED in folders else {}
        own = decisive_parameters(opened.parameters) | {BUNDLES: behind}
        for name in folders:
            stored = read_backtest(name, folders)
            levels = stored.nav.set_index("date")
            measured = measure_performance(levels["nav"], turnover=levels["turnover"])
            table.add_row(
                name,
                f"{wording.day(stored.nav['date'].iloc[0])} to {wording.day(stored.nav['date'].iloc[-1])}",
                wording.percent(measured["annualised_return"]),
                wording.ratio(measured["sharpe"]),
                wording.percent(measured["maximum_drawdown"]),
                wording.times(measured["annualised_turnover"]),
                ", ".join(differences(stored.parameters, own)) or "none",
            )
    Console().print(table if table.row_count else "no backtest is stored; `kedro run --pipelines backtest` makes one")


@backtest.command()
@click.argument("first")
@click.argument("second")
@env_option
@params_option
@click.pass_obj
def compare(metadata: Place, first: str, second: str, env: str | None, params: dict[str, Any]) -> None:
    """Compare the backtests FIRST and SECOND over the same sessions, and write a page; `own` is the account's."""
    from rich.console import Console
    from rich.table import Table

    from quant_pipeline.cli.opened_project import open_project
    from quant_pipeline.common.atomic import write_text
    from quant_pipeline.exchange.rules import MarketRules
    from quant_pipeline.market.currencies import unit_of_amounts
    from quant_pipeline.pipelines.backtest import comparison_page
    from quant_pipeline.pipelines.backtest.comparison import compare_backtests
    from quant_pipeline.pipelines.backtest.facts import changed_parameters

    if first == second:
        raise ConfigurationError(f"a backtest is compared with another one; both are '{first}'")
    names = (first, second)
    with open_project(metadata, env, params) as opened:
        folders = stored_backtests(opened)
        stored = [read_backtest(name, folders) for name in names]
        rules = opened.rules("market_rules", MarketRules)
        found = compare_backtests(stored[0], stored[1], rules.risk_free_rate)
        changed = changed_parameters(stored[0].parameters, stored[1].parameters)
        account = opened.configuration["globals"]["account"]
        currency = unit_of_amounts(rules.calendar)
        page = reports_of(opened) / "backtests" / f"{first}_and_{second}.html"
        write_text(page, comparison_page.compose_comparison(names, found, changed, account, currency))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("measure")
    for name in names:
        table.add_column(name, justify="right")
    for row in comparison_page.measures_table(found).itertuples(index=False):
        table.add_row(*row)
    Console().print(table)
    click.echo(comparison_page.describe_difference(names, found))
    click.echo(f"page: {as_typed(page)}")
