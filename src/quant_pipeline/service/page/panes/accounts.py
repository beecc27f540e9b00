"""All accounts side by side: one per environment; sums are of one kind of money alone, never of real and paper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from quant_pipeline.cli.opened_account import Opened
from quant_pipeline.cli.opened_project import open_project
from quant_pipeline.cli.sessions import configuration_folder
from quant_pipeline.common.environments import environments_in
from quant_pipeline.market.currencies import unit_of_amounts
from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column, Html, paragraph, table
from quant_pipeline.service.account_tables import account_picture
from quant_pipeline.service.faults import FAULTS, in_short
from quant_pipeline.service.page.drawing import instant, pane, state
from quant_pipeline.service.page.looking import Look


class Row(NamedTuple):
    """One account; what is not known is None."""

    environment: str
    account: str
    money: str
    state: str
    value: float | None
    currency: str
    session: str | None
    said: str


def accounts(look: Look) -> Html:
    """Draw every account, and a sum per kind of money and currency."""
    shown = pd.DataFrame(list(_rows(look)), columns=list(Row._fields))
    columns = [
        Column("environment", "environment", kind="text"),
        Column("account", "account", kind="text"),
        Column("money", "money", kind="text"),
        Column("state", "state", state, "text"),
        Column("value", "net asset value", wording.amount),
        Column("currency", "currency", kind="text"),
        Column("session", "as of the close of", wording.text, "text"),
        Column("said", "remarks", wording.text, "long"),
    ]
    at = instant(pd.Timestamp.now("UTC").floor("min"))
    known = shown.dropna(subset="value")
    kinds = known.groupby(["money", "currency"], sort=False)
    sums = kinds.agg(
        sum=("value", "sum"), size=("value", "size"), first=("session", "min"), last=("session", "max")
    ).reset_index()
    sum_columns = [
        Column("money", "money", kind="text"),
        Column("sum", "net asset values together", wording.amount),
        Column("currency", "currency", kind="text"),
        Column("size", "accounts", wording.count),
        Column("first", "closes from", wording.text, "text"),
        Column("last", "to", wording.text, "text"),
    ]
    return pane(
        "accounts",
        "All accounts",
        f"ledgers as of {at}",
        table(shown, columns, "One account per environment", look.account.environment),
        table(sums, sum_columns, "Sums of one kind of money") if len(sums) else Html(""),
        paragraph("Each kind of money is summed alone: the closes may be of different days."),
    )


def _rows(look: Look) -> Iterator[Row]:
    project = look.served.project
    for name in environments_in(configuration_folder(project.place)):
        try:
            if name == look.account.environment:
                yield _row(look.account)
                continue
            with open_project(project.place, name, {}, logs=False) as opened:
                yield _row(Opened(opened))
        except FAULTS as error:
            said = in_short(error, project.place.project_path)
            yield Row(name, wording.MISSING, "not known", "not known", None, "", None, said)


def _row(account: Opened) -> Row:
    if not account.events:
        money = _money(account)
        return Row(account.environment, account.name, money, "not used yet", None, "", None, "")
    picture = account_picture(account)
    said = list(picture["remarks"])
    word = picture["trading_state"]
    if picture["stop_file"] and word != "halted":
        word = "halted"
        said.append("the file STOP is there")
    return Row(
        account.environment,
        account.name,
        _money(account),
        word,
        picture["net_asset_value"],
        unit_of_amounts(account.calendar),
        picture["session"],
        "; ".join(said),
    )


def _money(account: Opened) -> str:
    """Return the kind of money; statements are of a real account."""
    if account.has_broker:
        return str(account.gateway.adapter.money.value)
    return "real" if account.account.filled_by == "statements" else "simulated"
