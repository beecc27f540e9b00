"""``kedro account explain``: why a session of the account differs from its shadow, cause by cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quant_pipeline.cli.options import env_option, params_option
from quant_pipeline.cli.sessions import Place
from quant_pipeline.common.exceptions import AccountError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

    from quant_pipeline.cli.opened_account import Opened
    from quant_pipeline.trading.shadow.causes import ShadowSession

MOST_LINES = 40


@click.command()
@click.argument("session", type=click.DateTime(["%Y-%m-%d"]))
@env_option
@params_option
@click.pass_obj
def explain(metadata: Place, session: Any, env: str | None, params: dict[str, Any]) -> None:
    """Explain why the account differs from the backtest of SESSION: delay, impact, fees and others."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.cli.terminal import print_drawing

    # Tables of a session lie under its date.
    with open_account(metadata, env, params | {"as_of": f"{session:%Y-%m-%d}"}) as opened:
        compared, is_decided_again = _compared(opened, session)
        print_drawing(_drawn(compared, is_decided_again), opened.name)


def _compared(opened: Opened, session: pd.Timestamp) -> tuple[ShadowSession, bool]:
    """Replay one session as the stage ``shadow`` does."""
    from quant_pipeline.exchange.rules import CostRules, MarketRules
    from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
    from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
    from quant_pipeline.pipelines.shadow.again import Deciding, EarlierScores
    from quant_pipeline.pipelines.shadow.nodes import after_a_gap, compare_sessions, words_of_gap
    from quant_pipeline.pipelines.shadow.pipeline import earlier_scores
    from quant_pipeline.strategy.rules import StrategyRules
    from quant_pipeline.trading.brokers.adapter import Exchange
    from quant_pipeline.trading.ledger.events import EventKind

    closed = [event.session for event in opened.events if event.kind is EventKind.SESSION_CLOSED]
    if session not in closed:
        last = f"the last one is {closed[-1]:%Y-%m-%d}" if closed else "none is"
        raise AccountError(f"'{opened.name}' has not closed {session:%Y-%m-%d}; {last}")
    load, rules = opened.catalog.load, opened.project.rules
    market, costs = rules("market_rules", MarketRules), rules("cost_rules", CostRules)
    bars, actions, days = load("bars"), load("corporate_actions"), load("sessions")
    exchange = Exchange.at_close(f"{session:%Y-%m-%d}", days, bars, actions, market, costs)
    strategy, ordering = rules("strategy", StrategyRules), rules("order_generation", OrderGenerationParameters)
    deciding = Deciding.of(
        bars, actions, days, load("instruments"), strategy, market, costs, ordering,
        rules("ensemble", EnsembleParameters), opened.account,
    )  # fmt: skip
    tables = {name: load(name) for name in earlier_scores()}
    scores = EarlierScores(load("score_file"), tables.pop("earlier_fused_scores", None), tables)
    compared, again = compare_sessions(opened.events, exchange, deciding, scores, [session])
    if not compared:
        raise AccountError(words_of_gap(session, after_a_gap(closed, exchange.sessions)[session]))
    return compared[0], bool(again)


def _drawn(compared: ShadowSession, is_decided_again: bool) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from quant_pipeline.cli.terminal import amount_text, signed_text, terminal_table

    title = f"{compared.session:%Y-%m-%d}"
    profits = terminal_table(title, "", "profit", numbers=("profit",))
    profits.add_row("by the backtest", signed_text(compared.shadow))
    profits.add_row("of the account", signed_text(compared.account))
    profits.add_row("difference", amount_text(compared.difference))
    parts: list[RenderableType] = [profits]
    if compared.differences:
        causes = terminal_table("What the account has earned less, by cause", "cause", "amount", numbers=("amount",))
        for cause, amount in compared.by_cause().items():
            if amount:
                causes.add_row(cause.replace("_", " "), amount_text(amount))
        parts.append(causes)
        names = ("cause", "instrument", "amount", "what happened")
        listed = terminal_table("The largest differences", *names, numbers=("amount",))
        for each in sorted(compared.differences, key=lambda found: -abs(found.amount))[:MOST_LINES]:
            listed.add_row(each.cause.replace("_", " "), each.instrument, amount_text(each.amount), each.detail)
        parts.append(listed)
    else:
        parts.append(Text("\nNothing differs.", style="dim"))
    if not is_decided_again:
        words = "The decision was not made again: neither revisions of its data nor changes of code show."
        parts.append(Text(f"\n{words}", style="dim"))
    return Group(*parts)
