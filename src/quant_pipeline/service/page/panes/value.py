"""Net asset value: the account, its benchmark, the backtest of the same days, and its shadow, as growth of 100."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column, Html, paragraph, table
from quant_pipeline.service.page.drawing import Line, chart, instant, pane
from quant_pipeline.service.page.looking import Look
from quant_pipeline.trading.ledger.profits import session_profits

SENTENCE = (
    "Growth of 100 since the first close; what was paid in or out is no growth. The benchmark counts dividends. The "
    "backtest is the stored one of the account's parameters, from the first session that both have. The shadow is "
    "every session replayed by the backtest from the account's own books."
)


def value(look: Look) -> Html:
    """Draw the lines and what they have come to."""
    closed = look.closed
    if closed is None:
        return pane("value", "Net asset value", "", paragraph("No close is booked yet.", style="empty"))
    lines = growth_lines(look)
    rows = [(line.name, *_changes(line.values)) for line in lines]
    shown = pd.DataFrame(rows, columns=["line", "from", "to", "sessions", "whole", "last"])
    columns = [
        Column("line", "line", kind="text"),
        Column("whole", "growth since its first close", wording.percent_signed, "signed"),
        Column("last", "growth in its newest session", wording.percent_signed, "signed"),
        Column("sessions", "closes", wording.count),
        Column("from", "from", wording.day),
        Column("to", "as of", wording.day),
    ]
    net = float(look.account.state.closes[-1][1])
    return pane(
        "value",
        "Net asset value",
        f"{wording.amount(net)} {look.currency}, {look.close_in_words}",
        chart("value-chart", "Growth of 100", lines, wording.ratio),
        table(shown, columns, "What each line has come to"),
        paragraph(SENTENCE, _written(look)),
    )


def _written(look: Look) -> str:
    """Say when the backtest and the shadow were computed: what came later is in neither."""
    names = {"backtest": "backtest_nav", "shadow": "shadow_sessions_found"}
    found = {line: look.served.project.written(name) for line, name in names.items()}
    known = [f"the {line} {instant(at)}" for line, at in found.items() if at is not None]
    return f" Written: {', '.join(known)}." if known else ""


def growth_lines(look: Look) -> list[Line]:
    """Return the growth of 100 of the account and of what it is compared with, where that is known."""
    sessions = session_profits(look.account.events, pd.Timestamp(look.closed)).set_index("date")
    returns = sessions["return"].copy()
    returns.iloc[0] = 0.0
    account = 100 * (1 + returns).cumprod()
    return [Line("account", account), *_compared(look, account)]


def _compared(look: Look, account: pd.Series) -> Iterator[Line]:
    project = look.served.project
    if project.has("benchmark"):
        benchmark = project.table("benchmark").set_index("date")["total_return_close"].reindex(account.index)
        yield Line("benchmark", _from(benchmark, account))
    if project.has("backtest_nav"):
        backtest = project.table("backtest_nav")
        if len(backtest):
            yield Line("backtest", _from(backtest.set_index("date")["nav"].reindex(account.index), account))
    if (log := _shadow_log(look)) is not None:
        shadow = log.set_index("date")
        growth = (1 + shadow["shadow"] / shadow["base"].where(shadow["base"] > 0)).cumprod().reindex(account.index)
        before = account.shift(1).reindex(growth.dropna().index[:1]).fillna(100.0)
        if len(before):
            yield Line("shadow", growth * float(before.iloc[0]))


def _shadow_log(look: Look) -> pd.DataFrame | None:
    """Return the sessions of the shadow as earlier runs have left them: the newest one may not be among them yet."""
    project = look.served.project
    name = "shadow_sessions_found"
    return project.kept(name, (name,), lambda: project.project.catalog.load(name))


def _from(levels: pd.Series, account: pd.Series) -> pd.Series:
    """Let levels begin where the account was in the first session that both know."""
    known = levels.dropna()
    return known if known.empty else known / known.iloc[0] * account.loc[known.index[0]]


def _changes(values: pd.Series) -> tuple[object, object, int, float, float]:
    known = values.dropna()
    if known.empty:
        return pd.NaT, pd.NaT, 0, float("nan"), float("nan")
    last = known.iloc[-1] / known.iloc[-2] - 1 if len(known) > 1 else float("nan")
    return known.index[0], known.index[-1], len(known), known.iloc[-1] / known.iloc[0] - 1, last
