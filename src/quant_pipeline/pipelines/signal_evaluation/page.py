"""Compose: the page about a signal."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors.signals import read_signal
from quant_pipeline.market.currencies import unit_of_amounts
from quant_pipeline.pipelines.backtest.comparison_page import MEASURES
from quant_pipeline.pipelines.backtest.figures import draw_drawdown, draw_net_asset_value
from quant_pipeline.pipelines.signal_evaluation.parameters import SignalEvaluationParameters
from quant_pipeline.reports import wording
from quant_pipeline.reports.definitions import COEFFICIENTS, define
from quant_pipeline.reports.elements import Column, facts, masthead, paragraph, picture, preformatted, section, table
from quant_pipeline.reports.page import compose_page
from quant_pipeline.strategy.account_parameters import AccountParameters

INFORMATION = (
    Column("horizon", "sessions of the return", wording.count),
    Column("rank_ic", "rank IC", wording.coefficient, "signed"),
    Column("rank_ic_t", "t", wording.ratio),
    Column("rank_icir", "rank ICIR, per session", wording.ratio),
    Column("ic", "IC", wording.coefficient),
    Column("sessions", "sessions", wording.count),
)


def compose_signal_page(
    signal_information: pd.DataFrame,
    signal_nav: pd.DataFrame,
    signal_performance: dict[str, float],
    signals: dict[str, Any],
    signal_evaluation: SignalEvaluationParameters,
    market_rules: MarketRules,
    account: AccountParameters,
) -> str:
    """Compose the page: what the signal says, what it knows, what it earned.

    Parameters
    ----------
    signal_information, signal_nav, signal_performance
        Results of the evaluation.
    signals, signal_evaluation
        The signal and how it was evaluated.
    market_rules, account
        Currency of the amounts, price of the returns, and name of the account.

    Returns
    -------
    str
        A self-contained HTML page; the same input gives the same bytes.
    """
    name = signal_evaluation.signal
    signal = read_signal(name, signals[name])
    currency = unit_of_amounts(market_rules.calendar)
    first, last = (wording.day(signal_nav["date"].iloc[place]) for place in (0, -1))
    settings = signal.model_dump(exclude={"signal", "enabled", "expression"})
    parts = [
        section(
            "formula",
            "What it says",
            facts(
                [
                    ("a high score", signal.meaning),
                    ("parameters", ", ".join(f"{key} {value:g}" for key, value in settings.items()) or "none"),
                ]
            ),
            paragraph("Expression, in the language of factors:"),
            preformatted(signal.formula),
        ),
        section(
            "information",
            "Does it rank returns?",
            paragraph(
                f"{COEFFICIENTS} Returns begin at the {market_rules.deal_price} of the session after the score, before "
                "costs; t allows for returns that overlap."
            ),
            table(signal_information, INFORMATION, "Information coefficients, means of the sessions"),
        ),
        section(
            "backtest",
            "What would it have earned?",
            picture(draw_net_asset_value(signal_nav, currency), "net-asset-value", scale_choice=True),
            picture(draw_drawdown(signal_nav), "drawdowns"),
            table(_measures(signal_performance), _MEASURED, f"After costs, by {signal_evaluation.rules}"),
            paragraph(define(key for key, _, _ in MEASURES if key in signal_performance)),
        ),
    ]
    return compose_page(
        title=f"Signal {name}",
        header=masthead(
            "Signal",
            name,
            _sentence(signal_information, signal_performance, f"{first} to {last}", signal_evaluation.rules),
            account=account.name,
        ),
        links=[("formula", "Formula"), ("information", "Information"), ("backtest", "Backtest")],
        parts=parts,
        footer="This page contains all it needs: no part of it is loaded from a network.",
    )


_MEASURED = (Column("measure", "measure", kind="text"), Column("value", "value"))


def _sentence(information: pd.DataFrame, performance: Mapping[str, float], span: str, rules: str) -> str:
    """Say what the signal knows and what it earned."""
    first = information.iloc[0]
    return (
        f"From {span} its rank IC over {wording.plural(int(first['horizon']), 'session')} was "
        f"{wording.coefficient(first['rank_ic'])} (t = {wording.ratio(first['rank_ic_t'])}). By {rules} "
        f"it returned {wording.percent(performance['annualised_return'])} a year after costs, "
        f"{wording.percent_signed(performance['annualised_excess_return'])} against the benchmark."
    )


def _measures(performance: Mapping[str, float]) -> pd.DataFrame:
    rows = [(label, write(performance[key])) for key, label, write in MEASURES if key in performance]
    return pd.DataFrame(rows, columns=["measure", "value"])
