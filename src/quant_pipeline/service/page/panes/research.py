"""Research: the leaderboard, the pages that the pipelines have written, and forms that start jobs."""

from __future__ import annotations

from typing import Final

import pandas as pd

from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.project.model_registry import load_model_registry
from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column, Html, paragraph, table
from quant_pipeline.service.page.drawing import draw, instant, pane
from quant_pipeline.service.page.forms import FORM_TOKEN
from quant_pipeline.service.page.looking import Look
from quant_pipeline.strategy.rules import StrategyRules

DOCUMENTS: Final = {
    "report": ("report_page", "Report of the account"),
    "factors": ("factor_page", "Evaluation of factors"),
    "search": ("search_page", "Search over combinations"),
    "backtest": ("backtest_page", "Backtest"),
    "models": ("model_page", "Models side by side"),
    "ranking": ("ranking_page", "Ranking of the newest session"),
    "opinions": ("opinion_page", "Opinions of every model"),
    "signal": ("signal_page", "Evaluation of a signal"),
}
"""Pages that pipelines write, by the name in their address: catalog entry, and what it is."""
LEADERS = 10


def research(look: Look) -> Html:
    """Draw the leaderboard, links and forms."""
    project = look.served.project
    written = [
        (name, label, instant(project.written(entry)))
        for name, (entry, label) in DOCUMENTS.items()
        if project.has(entry)
    ]
    forms = draw(
        "asking.html",
        form_token=FORM_TOKEN,
        models=sorted(load_model_registry()),
        strategy=project.project.rules("strategy", StrategyRules),
        combination=project.project.rules("ensemble", EnsembleParameters).default,
        sets=["alpha158", "alpha101", "alpha360"],
    )
    return pane(
        "research",
        "Research",
        f"market up to {project.known.watermark}" if project.known.watermark else "no market was ingested yet",
        _leaderboard(look),
        draw("written.html", written=written),
        forms,
    )


def _leaderboard(look: Look) -> Html:
    """Draw the combinations that a search has found, or those that the backtest has compared, with when that was."""
    project = look.served.project
    if project.has("search_leaderboard"):
        leaders = project.table("search_leaderboard").head(LEADERS)
        text = f"Best {LEADERS} of the search, written {instant(project.written('search_leaderboard'))}"
        numbers = [name for name in leaders.columns if leaders[name].dtype.kind == "f"][:7]
        columns = [
            Column("rank", "rank", wording.count),
            Column("combination", "combination", kind="text"),
            Column("size", "models", wording.count),
            *(Column(name, name.replace("_", " "), wording.ratio) for name in numbers),
        ]
        return table(leaders[[column.name for column in columns]], columns, text)
    if project.has("combination_comparison"):
        compared = project.table("combination_comparison").sort_values("sharpe", ascending=False)
        columns = [
            Column("combination", "combination", kind="text"),
            Column("method", "weights by", kind="text"),
            Column("rank_ic", "rank IC", wording.coefficient),
            Column("annualised_return", "return per year", wording.percent),
            Column("sharpe", "Sharpe ratio", wording.ratio),
            Column("maximum_drawdown", "maximum drawdown", wording.percent),
        ]
        chosen = look.served.project.project.rules("ensemble", EnsembleParameters).default
        written = instant(project.written("combination_comparison"))
        text = f"Combinations of the backtest, written {written}; the bold one trades"
        return table(pd.DataFrame(compared), columns, text, chosen)
    return paragraph("Nothing was searched or compared yet.", style="empty")
