"""Compose: one page that says what was ordered, what became of it, and whether the books are right."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.listing import first_of
from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column, Html, join, masthead, paragraph, section, table
from quant_pipeline.reports.order_columns import execution_columns
from quant_pipeline.reports.page import compose_page
from quant_pipeline.trading.orders.outcome import Outcome

_BREAKS = (
    Column("what", "what", kind="text"),
    Column("ledger", "in the books", kind="text"),
    Column("broker", "at the broker", kind="text"),
)


def compose_execution_page(
    report: pd.DataFrame, outcome: Outcome, as_of: str, dry_run: bool, limits: Sequence[str] = ()
) -> str:
    """Compose the page.

    Parameters
    ----------
    report
        One row per order.
    outcome
        What became of the plan, the state of the account, and what differs between its books and the broker.
    as_of
        Session of the decision.
    dry_run
        Whether nothing was sent.
    limits
        Fingerprints of the risk limits that judged the orders.

    Returns
    -------
    str
        One self-contained HTML page.
    """
    day = wording.long_day(outcome.session)
    sentence = _sentence(report, outcome, as_of, dry_run, limits)
    header = masthead("Execution", day, sentence, account=outcome.account)
    remarks = [paragraph(in_environment(remark, outcome.account), style="callout") for remark in outcome.remarks]
    columns = execution_columns(outcome.currency)
    parts = [
        section("orders", "Orders", table(report, columns, "Orders, verdicts and fills")),
        section("books", "Books and broker", _books(outcome, dry_run)),
    ]
    links = (("orders", "Orders"), ("books", "Books and broker"))
    title = f"{outcome.account} {outcome.session:%Y-%m-%d}: execution"
    return compose_page(title, join([header, *remarks]), links, parts, f"Decided at the close of {as_of}")


def _sentence(report: pd.DataFrame, outcome: Outcome, as_of: str, dry_run: bool, limits: Sequence[str]) -> str:
    if not outcome.has_plan:
        return "No plan was recorded for this session."
    approved = int((report["verdict"] == "approved").sum())
    said = f"{len(report)} orders decided at the close of {as_of}, {approved} approved"
    by = f", by the limits {first_of(limits)}" if limits else ""
    if dry_run:
        return f"{said}{by} (dry run: nothing sent)."
    counts = ", ".join(f"{number} {word}" for word, number in outcome.counts.items())
    bought, sold = (wording.amount(float(outcome.value(side))) for side in ("buy", "sell"))
    return f"{said}{by}: {counts}. Bought for {bought} {outcome.currency}, sold for {sold} {outcome.currency}."


def _books(outcome: Outcome, dry_run: bool) -> Html:
    if dry_run:
        return paragraph("A dry run compares nothing.")
    if not outcome.breaks:
        return paragraph("The books equal the broker, to the share and to the cent.")
    rows = pd.DataFrame([(row.what, str(row.ledger), str(row.broker)) for row in outcome.breaks])
    rows.columns = pd.Index(["what", "ledger", "broker"])
    return table(rows, _BREAKS, "Differences; only exits pass until the operator has looked at them")
