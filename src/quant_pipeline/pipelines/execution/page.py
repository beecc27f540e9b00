"""Compose: one page that says what was ordered, what became of it, and whether the books are right."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column, masthead, paragraph, section, table
from quant_pipeline.reports.order_columns import EXECUTION_COLUMNS
from quant_pipeline.reports.page import compose_page

_BREAKS = (
    Column("what", "what", kind="text"),
    Column("ledger", "in the books", kind="text"),
    Column("broker", "at the broker", kind="text"),
)


def compose_execution_page(
    report: pd.DataFrame, breaks: pd.DataFrame, as_of: str, dry_run: bool, limits: Sequence[str] = ()
) -> str:
    """Compose the page.

    Parameters
    ----------
    report
        One row per order.
    breaks
        What differs between the books and the broker.
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
    approved = int((report["verdict"] == "approved").sum())
    said = f"{len(report)} orders decided at the close of {as_of}, {approved} approved"
    by = f", by the limits {', '.join(limits)}" if limits else ""
    sentence = f"{said}{by}{' (dry run: nothing sent)' if dry_run else ''}."
    header = masthead("Execution", wording.long_day(as_of), sentence)
    state = paragraph("The books equal the broker, to the share and to the cent.")
    if dry_run:
        state = paragraph("A dry run compares nothing.")
    elif len(breaks):
        state = table(breaks, _BREAKS, "Differences; only exits pass until the operator has looked at them")
    parts = [
        section("orders", "Orders", table(report, EXECUTION_COLUMNS, "Orders, verdicts and fills")),
        section("books", "Books and broker", state),
    ]
    links = (("orders", "Orders"), ("books", "Books and broker"))
    return compose_page(f"Execution {as_of}", header, links, parts, f"Decided at the close of {as_of}")
