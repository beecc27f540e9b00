"""What a run of execution ends with: plain text for the terminal and for the mail that cron sends."""

from __future__ import annotations

import textwrap

import pandas as pd

from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exit_status import ExitStatus
from quant_pipeline.reports import wording
from quant_pipeline.trading.orders.outcome import OrderOutcome, Outcome

WIDTH = 100

MEANINGS = {
    ExitStatus.DONE: "everything is as planned",
    ExitStatus.INCOMPLETE: "a part of the plan was not executed, as listed above",
    ExitStatus.ATTENTION: "the operator has to act on what is named above",
    ExitStatus.NO_PLAN: "no plan was recorded for the session; `kedro run --pipelines daily` makes one",
}
"""What the exit statuses mean, for the last line."""


def summary_of_run(outcome: Outcome, page: str) -> str:
    """Write the summary of orders that were sent.

    Parameters
    ----------
    outcome
        What became of them.
    page
        Where the page of the run lies.

    Returns
    -------
    str
        Remarks on the account first, then the orders, the books, the page, and the exit status with its meaning.
    """
    lines = [*_head("Execution", outcome), _orders_line(outcome)]
    lines += [_failed_line(order) for order in outcome.failed]
    if outcome.waits_for and any(order.state.is_at_broker for order in outcome.orders):
        lines.append(f"Open orders wait for {outcome.waits_for}; the daily run books what it executes.")
    bought, sold = (wording.price(float(outcome.value(side))) for side in ("buy", "sell"))
    lines.append(f"Bought for {bought} {outcome.currency}, sold for {sold} {outcome.currency}.")
    lines += _books_lines(outcome)
    lines += [f"Page: {page}", f"Exit status {outcome.status.value}: {MEANINGS[outcome.status]}."]
    return _finished(lines, outcome)


def summary_of_dry_run(outcome: Outcome, verdicts: pd.DataFrame, page: str) -> str:
    """Write the summary of a dry run; its exit status says nothing of the verdicts.

    Parameters
    ----------
    outcome
        The account, and whether there is a plan.
    verdicts
        One row per order, see `quant_pipeline.pipelines.execution.tables.verdict_table`.
    page
        Where the page of the run lies.
    """
    lines = _head("Dry run of execution", outcome)
    if outcome.has_plan:
        denied = verdicts[verdicts["verdict"] == "denied"]
        lines.append(f"Orders: {len(verdicts)} planned, {len(verdicts) - len(denied)} would be sent.")
        lines += [f"  {row.side:<4} {row.quantity:g} {row.instrument}: {row.message}" for row in denied.itertuples()]
    else:
        lines.append(f"Orders: {MEANINGS[ExitStatus.NO_PLAN]}.")
    lines += ["Nothing was recorded and nothing was sent.", f"Page: {page}"]
    return _finished(lines, outcome)


def _head(title: str, outcome: Outcome) -> list[str]:
    remarks = [line for remark in outcome.remarks for line in textwrap.wrap(f"! {remark}", WIDTH)]
    return [f"{title} on {wording.long_day(outcome.session)}, account {outcome.account}", "=" * WIDTH, *remarks]


def _orders_line(outcome: Outcome) -> str:
    if not outcome.has_plan:
        return f"Orders: {MEANINGS[ExitStatus.NO_PLAN]}."
    if not outcome.orders:
        return "Orders: the plan of the session holds none."
    return f"Orders: {', '.join(f'{number} {word}' for word, number in outcome.counts.items())}."


def _failed_line(order: OrderOutcome) -> str:
    tracked = order.tracked
    filled = f", {tracked.filled:g} filled" if tracked.filled else ""
    state = str(order.state).replace("_", " ")
    return f"  {tracked.order.side:<4} {tracked.quantity:g} {tracked.order.instrument} {state}{filled}: {order.reason}"


def _books_lines(outcome: Outcome) -> list[str]:
    if not outcome.breaks:
        return ["Books: equal to the broker's, to the share and to the cent."]
    differences = [f"  {row.what}: {row.ledger} in the books, {row.broker} at the broker" for row in outcome.breaks]
    return [f"Books: {len(outcome.breaks)} differences to the broker.", *differences]


def _finished(lines: list[str], outcome: Outcome) -> str:
    text = "\n".join(lines).replace("\N{MINUS SIGN}", "-").replace(wording.MISSING, "-")
    return in_environment(text, outcome.account) + "\n"
