"""Compose: the page of the analysis, with a section each on models, execution, portfolio and risk factors."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.currencies import unit_of_amounts
from quant_pipeline.pipelines.analysis.analysed import AnalysedAccount
from quant_pipeline.pipelines.analysis.parameters import AnalysisParameters
from quant_pipeline.pipelines.analysis.sections_of_account import execution_section, portfolio_section
from quant_pipeline.pipelines.analysis.sections_of_research import models_section, risk_section
from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Html, masthead
from quant_pipeline.reports.page import compose_page
from quant_pipeline.strategy.account_parameters import AccountParameters


def compose_analysis_page(
    shadow_sessions: pd.DataFrame,
    analysed_model_decay: pd.DataFrame | None,
    analysis: AnalysisParameters,
    market_rules: MarketRules,
    account: AccountParameters,
    as_of: str,
    **tables: pd.DataFrame,
) -> str:
    """Compose the page.

    Parameters
    ----------
    shadow_sessions
        Account and shadow by session.
    analysed_model_decay
        Rank IC by horizon of the model report; None where it has not run.
    analysis, market_rules, account, as_of
        Minimum numbers of cases, currency, name and session.
    **tables
        ``analysis_<table>`` of the four nodes.

    Returns
    -------
    str
        One self-contained HTML page.
    """
    shown = {name.removeprefix("analysis_"): frame for name, frame in tables.items()}
    page = AnalysedAccount(shown, analysis, unit_of_amounts(market_rules.calendar), account.name)
    sections: list[tuple[str, str, Callable[[], Html]]] = [
        ("execution", "Execution", lambda: execution_section(page, shadow_sessions)),
        ("portfolio", "Portfolio", lambda: portfolio_section(page)),
        ("risk", "Risk factors", lambda: risk_section(page)),
    ]
    if "models" in shown:
        sections.insert(0, ("models", "Models", lambda: models_section(page, analysed_model_decay)))
    percent = wording.percent(analysis.confidence)
    head = masthead(
        "Analysis",
        wording.long_day(as_of),
        f"The newest {wording.plural(analysis.sessions, 'session')} at most. Bands cover {percent} of the cases; a "
        f"dash stands where there are fewer than {analysis.min_sessions} sessions, {analysis.min_orders} orders or "
        f"{analysis.min_round_trips} round trips.",
        account=account.name,
    )
    links = [(name, heading) for name, heading, _ in sections]
    parts = [write() for _, _, write in sections]
    return compose_page(f"Analysis {as_of}", head, links, parts, f"Amounts in {page.currency}; times are sessions.")
