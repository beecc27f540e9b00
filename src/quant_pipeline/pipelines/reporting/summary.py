"""The summary a run ends with: plain text, aligned, for a terminal of a hundred columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence

import pandas as pd

from quant_pipeline.pipelines.reporting import measures
from quant_pipeline.pipelines.reporting.context import ReportContext
from quant_pipeline.pipelines.reporting.sections_of_account import account_change
from quant_pipeline.reports import wording

WIDTH = 100
LISTED_ORDERS = 12
LISTED_COMBINATIONS = 12
NAME_WIDTH = 34
_COMMAND = re.compile("`[^`]*`")
_NO_BREAK = "\0"


def summary_text(
    context: ReportContext,
    ic_series: pd.DataFrame,
    backtest_nav: pd.DataFrame,
    backtest_performance: Mapping[str, float | None],
    combination_comparison: pd.DataFrame,
    orders: pd.DataFrame,
    account_nav: pd.DataFrame,
    missed_sessions: pd.DataFrame,
) -> str:
    """Write the summary.

    Parameters
    ----------
    context
        Where the report stands, where it lies, what to type next.
    ic_series, backtest_nav, backtest_performance, combination_comparison, orders, account_nav, missed_sessions
        Tables of the report; any may be empty.

    Returns
    -------
    str
        Lines of at most a hundred characters; only a path or a command may be longer, for they must be copied whole.
    """
    blocks = [
        [f"{context.account} at the close of {wording.long_day(context.as_of)}", "=" * WIDTH],
        [line for remark in context.remarks for line in _wrapped(f"! {remark}")],
        _information(ic_series) + _wrapped(context.other_labels),
        _backtest(backtest_nav, backtest_performance) + _wrapped(context.not_backtested),
        _comparison(combination_comparison, context.combination),
        _orders(context, orders),
        [_account(context, account_nav), *_missed(missed_sessions)],
        [f"Report: {context.path}"],
        ["Next:", *_next_steps(context.next_commands)],
    ]
    text = "\n\n".join("\n".join(block) for block in blocks if block)
    return text.replace("\N{MINUS SIGN}", "-").replace(wording.MISSING, "-") + "\n"


def _information(ic_series: pd.DataFrame) -> list[str]:
    if ic_series.empty:
        return ["Scores: no label of a test session is realised yet."]
    rows = [
        [
            row.model,
            wording.coefficient(row.ic),
            wording.ratio(row.icir),
            wording.coefficient(row.rank_ic),
            wording.ratio(row.rank_icir),
            wording.count(row.sessions),
        ]
        for row in measures.information_table(ic_series).itertuples(index=False)
    ]
    return _aligned(["Scores, out of sample", "IC", "ICIR", "rank IC", "rank ICIR", "sessions"], rows)


def _backtest(nav: pd.DataFrame, performance: Mapping[str, float | None]) -> list[str]:
    if nav.empty:
        return ["Backtest: none of the present parameters has been run yet."]
    compared = measures.compare_measures(nav, performance)
    chosen = (
        ("return per year", "annualised_return", wording.percent),
        ("volatility per year", "annualised_volatility", wording.percent),
        ("Sharpe ratio", "sharpe", wording.ratio),
        ("maximum drawdown", "maximum_drawdown", wording.percent),
    )
    rows = [
        [label, *(write(compared.loc[key, side]) for side in ("strategy", "benchmark"))]
        for label, key, write in chosen
        if key in compared.index
    ]
    span = f"{wording.day(nav['date'].iloc[0])} to {wording.day(nav['date'].iloc[-1])}"
    return _aligned([f"Backtest {span}", "strategy", "benchmark"], rows)


def _comparison(comparison: pd.DataFrame, default: str) -> list[str]:
    rows = [
        [
            f"{row.combination} *" if row.combination == default else row.combination,
            wording.coefficient(row.rank_ic),
            wording.percent(row.annualised_return),
            wording.ratio(row.sharpe),
            wording.percent(row.maximum_drawdown),
        ]
        for row in comparison.head(LISTED_COMBINATIONS).itertuples(index=False)
    ]
    if not rows:
        return []
    lines = _aligned(["Combinations (* gives the orders)", "rank IC", "return", "Sharpe", "drawdown"], rows)
    return lines + _more(len(comparison) - LISTED_COMBINATIONS)


def _orders(context: ReportContext, orders: pd.DataFrame) -> list[str]:
    totals = measures.order_totals(orders)
    counts = ", ".join(f"{number} {side}" for side, (number, _) in totals.items())
    title = f"Orders for {wording.day(context.executes_in)} at the {context.deal_price}: {counts}"
    if not context.is_decided:
        title += f"; the strategy decides at {context.decides}, and this is none"
    if orders.empty:
        return _wrapped(title)
    reasons = context.denials.reasons(orders, context.account)
    reasons = reasons.where(context.denials.are_denied(orders), orders["reason"].map(_in_short))
    traded = orders.assign(reason=reasons)[orders["side"] != "hold"]
    lines = [
        _clip(
            f"  {row.side:<4}  {row.instrument:<7} {wording.count(row.quantity):>8} at about "
            f"{wording.price(row.reference_price):>9} {context.currency}  {row.reason}"
        )
        for row in traded.head(LISTED_ORDERS).itertuples(index=False)
    ]
    return [*_wrapped(title), *lines, *_more(len(traded) - LISTED_ORDERS)]


def _in_short(reason: str) -> str:
    """Leave out ``bought:`` and the like, which the side says, and the score, which the report has: a line is short."""
    return re.sub(r"(rank \d+ of \d+), score [^,]+", r"\1", reason.partition(": ")[2] or reason)


def _account(context: ReportContext, account_nav: pd.DataFrame) -> str:
    if account_nav.empty:
        return "Account: nothing is booked yet."
    newest = account_nav.iloc[-1]
    value, cash = (f"{wording.price(newest[name])} {context.currency}" for name in ("nav", "cash"))
    return "\n".join(
        textwrap.wrap(f"Account: net asset value {value}, cash {cash}. {account_change(context, account_nav)}", WIDTH)
    )


def _missed(missed_sessions: pd.DataFrame) -> list[str]:
    """Name the sessions that no earlier run has reported."""
    if missed_sessions.empty:
        return []
    new = missed_sessions[missed_sessions["is_new"]]
    return [
        line
        for missed, rows in new.groupby("missed", sort=False)
        for line in textwrap.wrap(
            f"Missed {wording.plural(len(rows), 'session')}, {missed}: {wording.days(rows['session'])}", WIDTH
        )
    ]


def _next_steps(commands: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(command) for command, _ in commands)
    if 2 + width + 2 + max(len(what) for _, what in commands) <= WIDTH:
        return [f"  {command:<{width}}  {what}" for command, what in commands]
    return [line for command, what in commands for line in (f"  # {what}", f"  {command}")]


def _aligned(head: list[str], rows: list[list[str]]) -> list[str]:
    """Align the first column left and the others right, as wide as the widest cell."""
    cells = [[_clip(first, NAME_WIDTH), *rest] for first, *rest in [head, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(1, len(head))]
    lines = []
    for first, *rest in cells:
        numbers = (f"{cell:>{width}}" for cell, width in zip(rest, widths, strict=True))
        lines.append("  ".join([f"{first:<{NAME_WIDTH}}", *numbers]))
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def _more(left: int) -> list[str]:
    return [f"  and {left} more in the report"] if left > 0 else []


def _wrapped(text: str) -> list[str]:
    """Break a text into lines; a command in it is copied whole, so it is not broken."""
    whole = _COMMAND.sub(lambda command: command[0].replace(" ", _NO_BREAK), text)
    lines = textwrap.wrap(whole, WIDTH, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_NO_BREAK, " ") for line in lines]


def _clip(text: str, width: int = WIDTH) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
