"""Sections on the account: orders, holdings, data quality, what to type next, provenance of the run."""

from __future__ import annotations

import pandas as pd

from quant_pipeline.market.quality import order_by_effect
from quant_pipeline.pipelines.reporting import figures, measures
from quant_pipeline.pipelines.reporting.context import ReportContext
from quant_pipeline.pipelines.reporting.sections import Section
from quant_pipeline.reports import elements, wording
from quant_pipeline.reports.elements import Column, Html, paragraph, section, table
from quant_pipeline.reports.order_columns import INSTRUMENT, order_columns
from quant_pipeline.trading.shadow.causes import CAUSES

LISTED_FINDINGS = 40


def orders_section(context: ReportContext, orders: pd.DataFrame) -> Html:
    """List the orders of the next session with their reasons; what is held stays folded away.

    Parameters
    ----------
    context
        Names the sessions.
    orders
        ``instrument``, ``side``, ``quantity``, ``reference_price``, ``estimated_value``, ``score``, ``rank``,
        ``reason``; sales first, then buys, then what is held.
    """
    totals = measures.order_totals(orders)
    when = f"{wording.long_day(context.executes_in)} at the {context.deal_price}"
    heading = "Orders of the next session"
    if orders.empty:
        nothing = f"Nothing is to be bought, sold or held on {when}."
        return section("orders", heading, paragraph(nothing, style="empty"))
    (sales, sold), (buys, bought), (kept, _) = totals["sell"], totals["buy"], totals["hold"]
    orders = orders.assign(reason=context.denials.reasons(orders, context.account))
    traded, held = orders[orders["side"] != "hold"], orders[orders["side"] == "hold"]
    columns, currency = order_columns(context.currency), context.currency
    parts = []
    sides = [
        f"{wording.plural(number, side)} worth about {wording.amount(value)} {currency}"
        for side, number, value in (("sale", sales, sold), ("buy", buys, bought))
        if number
    ]
    if sides:
        parts.append(
            paragraph(
                f"They execute on {when}: {', then '.join(sides)}, as far as the cash goes. Values are estimates at "
                "the last close."
            )
        )
        parts.append(table(traded, columns, f"Orders for {wording.day(context.executes_in)}"))
    else:
        parts.append(paragraph(f"No order for {when}: everything is held.", style="empty"))
    if kept:
        what = f"{wording.plural(kept, 'line')} without an order"
        parts.append(elements.details(what, table(held, columns, "Held, or looked at and not executed")))
    return section("orders", heading, *parts)


def account_section(
    context: ReportContext,
    holdings: pd.DataFrame,
    account_nav: pd.DataFrame,
    missed_sessions: pd.DataFrame,
    shadow_sessions: pd.DataFrame,
) -> Html:
    """Show net asset value, cash and holdings of the account.

    Parameters
    ----------
    context
        Names the account.
    holdings
        One row per instrument held; empty while the account holds cash only.
    account_nav
        ``date``, ``nav``, ``cash``; empty before the first booked session.
    missed_sessions
        ``session``, ``missed``: sessions that went by without a daily run.
    shadow_sessions
        Account and shadow by session, see `quant_pipeline.trading.shadow.tables.sessions_table`.
    """
    heading = f"Account {context.account}"
    if account_nav.empty:
        return section(
            "account", heading, elements.run_first("No session is booked yet.", context.command("post_trade"))
        )
    newest, currency = account_nav.iloc[-1], context.currency
    parts = [
        paragraph(
            f"At the close of {wording.long_day(newest['date'])}: net asset value {wording.price(newest['nav'])} "
            f"{currency}, of it {wording.price(newest['cash'])} {currency} in cash, and "
            f"{wording.plural(len(holdings), 'holding')}. "
            f"{wording.plural(len(account_nav), 'session')} booked since {wording.day(account_nav['date'].iloc[0])}. "
            f"{account_change(context, account_nav)}"
        ),
        elements.picture(figures.draw_account(account_nav, currency, context.flows), "account-value"),
    ]
    parts += [*_missed(missed_sessions), *_shadow(context, shadow_sessions)]
    if holdings.empty:
        parts.append(paragraph("The account holds cash only.", style="empty"))
    else:
        columns = [
            INSTRUMENT,
            Column("quantity", "shares", wording.count),
            Column("average_cost", f"average cost, {currency}", wording.price),
            Column("price", f"close, {currency}", wording.price),
            Column("market_value", f"value, {currency}", wording.amount),
            Column("unrealised_profit", f"unrealised profit, {currency}", wording.amount_signed, "signed"),
            Column("weight", "part of NAV", wording.percent, "share", full=holdings["weight"].max()),
        ]
        parts.append(table(holdings, columns, "Holdings, largest first"))
    return section("account", heading, *parts)


def _shadow(context: ReportContext, shadow_sessions: pd.DataFrame) -> list[Html]:
    """Say how far the newest session and all of them are from what the backtest makes of the same books."""
    if shadow_sessions.empty:
        return []
    newest, total = shadow_sessions.iloc[-1], shadow_sessions["difference"].sum()
    day, currency = wording.day(newest["date"]), context.currency
    if not newest["difference"]:
        said = f"On {day} the account earned to the cent what the backtest makes of the same session"
    else:
        parts = [
            f"{cause.replace('_', ' ')} {wording.amount_signed(newest[cause])}" for cause in CAUSES if newest[cause]
        ]
        side = "less" if newest["difference"] > 0 else "more"
        amount = wording.price(abs(newest["difference"]))
        said = (
            f"On {day} the account earned {amount} {currency} {side} than the backtest makes of the same session: "
            f"{', '.join(parts)}"
        )
    sessions = wording.plural(len(shadow_sessions), "session")
    sentence = f"{said}; over {sessions} the difference is {wording.amount_signed(total)} {currency}."
    return [paragraph(sentence, style="callout" if newest["unexplained"] else "")]


def account_change(context: ReportContext, account_nav: pd.DataFrame) -> str:
    """Say by how much the newest session changed the account: by profit, and by what was paid in or taken out."""
    if len(account_nav) < 2:
        return ""
    before, newest = account_nav.iloc[-2], account_nav.iloc[-1]
    flow = sum(amount for date, amount in context.flows if before["date"] < date <= newest["date"])
    profit = newest["nav"] - before["nav"] - flow
    base = before["nav"] + flow
    rate = f" ({wording.percent_signed(profit / base)})" if base > 0 else ""
    said = f"The session changed it by {wording.amount_signed(profit)} {context.currency}{rate}"
    if not flow:
        return f"{said}."
    what = "deposited" if flow > 0 else "withdrawn"
    return f"{said}, besides {wording.price(abs(flow))} {context.currency} that were {what}."


def _missed(missed_sessions: pd.DataFrame) -> list[Html]:
    if missed_sessions.empty:
        return []
    return [
        paragraph(
            f"{wording.plural(len(rows), 'session')} missed, {missed}: {wording.days(rows['session'])}.",
            style="callout",
        )
        for missed, rows in missed_sessions.groupby("missed", sort=False)
    ]


def data_section(context: ReportContext, data_quality: pd.DataFrame) -> Html:
    """Sum up what the checks of the data found.

    Parameters
    ----------
    context
        Where the report stands.
    data_quality
        ``instrument``, ``date``, ``check``, ``severity``, ``value``, ``detail``.
    """
    heading = "Data quality"
    if data_quality.empty:
        return section("data", heading, paragraph("No check found anything.", style="empty"))
    columns = [
        Column("check", "check", lambda value: str(value).replace("_", " "), "text"),
        Column("severity", "severity", kind="tag"),
        Column("findings", "findings", wording.count),
        Column("instruments", "instruments", wording.count),
        Column("first", "first", wording.day),
        Column("last", "last", wording.day),
    ]
    finding_columns = [
        Column("instrument", "instrument", kind="text"),
        Column("date", "date", wording.day, "text"),
        Column("check", "check", lambda value: str(value).replace("_", " "), "text"),
        Column("severity", "severity", kind="tag"),
        Column("detail", "detail", kind="long"),
    ]
    listed = order_by_effect(data_quality).head(LISTED_FINDINGS)
    return section(
        "data",
        heading,
        paragraph("What looks wrong is listed, first what changes returns most, and never repaired in silence."),
        table(measures.findings_by_check(data_quality), columns, "Findings by check"),
        elements.details(
            f"The first {wording.plural(len(listed), 'finding')}", table(listed, finding_columns, "Findings by effect")
        ),
    )


def next_section(context: ReportContext) -> Html:
    """Say what to type next."""
    return section("next", "What to type next", elements.commands(context.next_commands))


def provenance_section(context: ReportContext) -> Html:
    """Say where the numbers come from."""
    facts = [
        ("as of the close of", wording.day(context.as_of)),
        ("orders execute on", wording.day(context.executes_in)),
        ("account and environment", context.account),
        ("market", context.market),
        ("execution price", context.deal_price),
        ("label horizon", wording.plural(context.horizon, "session")),
        ("combination", context.combination),
        ("hash of the parameters", context.parameters_hash),
        *context.versions.items(),
    ]
    return section(
        "provenance",
        "Provenance",
        paragraph("Runs with the same hash had the same settings, whatever their session."),
        elements.facts(facts),
        elements.details("All parameters", elements.preformatted(context.parameters)),
    )


ORDERS = Section("orders", "Orders", orders_section)
ACCOUNT = Section("account", "Account", account_section)
DATA = Section("data", "Data", data_section)
NEXT = Section("next", "Next", next_section)
PROVENANCE = Section("provenance", "Provenance", provenance_section)
