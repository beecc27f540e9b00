"""Positions: what is held, what every model says of it, and how much of each limit is used."""

from __future__ import annotations

import pandas as pd

from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column, Html, paragraph, table
from quant_pipeline.service.account_tables import positions_table
from quant_pipeline.service.page.drawing import bar_of, pane
from quant_pipeline.service.page.looking import Look
from quant_pipeline.trading.orders.risk_limits import RiskLimits


def positions(look: Look) -> Html:
    """Draw positions, opinions and limits."""
    held = positions_table(look.account)
    parts: list[Html] = []
    if held.empty:
        parts.append(paragraph("Nothing is held.", style="empty"))
    else:
        parts.append(_holdings(look, held))
    parts.append(_limits(look, held))
    return pane("positions", "Positions", look.close_in_words, *parts)


def _holdings(look: Look, held: pd.DataFrame) -> Html:
    rules = look.account.project.rules("risk", RiskLimits)
    opinions = _opinions(look)
    columns = [
        Column("instrument", "instrument", kind="text"),
        Column("name", "name", kind="text"),
        Column("quantity", "shares", wording.count),
        Column("average_cost", f"average cost, {look.currency}", wording.price),
        Column("price", f"last close, {look.currency}", wording.price),
        Column("close_of", "close of", wording.day, "text"),
        Column("market_value", f"value, {look.currency}", wording.amount),
        Column("unrealised_profit", f"profit, {look.currency}", wording.amount_signed, "signed"),
        Column("weight_bar", f"weight of at most {rules.max_position_weight:.0%}", bar_of, "text"),
        *(Column(f"says {model}", model, kind="text") for model in opinions.columns),
    ]
    shown = held.assign(
        name=held["instrument"].map(_names(look)).fillna(wording.MISSING),
        weight_bar=[(weight, rules.max_position_weight, wording.percent(weight)) for weight in held["weight"]],
        price=held["price"].where(held["has_close"]),
        **{f"says {model}": held["instrument"].map(opinions[model]).fillna("no score") for model in opinions.columns},
    )
    asked = pd.Timestamp(look.served.project.parameters["as_of"])
    opinions_of = f"; opinions of {asked:%Y-%m-%d}" if len(opinions.columns) else ""
    caption = f"Positions, {look.close_in_words}{opinions_of}. What has no close counts at its cost."
    return table(shown, columns, caption)


def _opinions(look: Look) -> pd.DataFrame:
    """Return rank and opinion by instrument and source, the combination of the account first; empty before any."""
    project = look.served.project
    if not project.has("opinions"):
        return pd.DataFrame()
    found = project.table("opinions")
    words = found["opinion"].str.lower() + ", rank " + found["rank"].astype(str)
    wide = found.assign(words=words).pivot(index="instrument", columns="source", values="words")
    order = found.sort_values(["is_chosen", "kind"], ascending=[False, False])["source"].drop_duplicates()
    return wide[list(order)]


def _names(look: Look) -> pd.Series:
    project = look.served.project
    if not project.has("instruments"):
        return pd.Series(dtype="str")
    return project.table("instruments").set_index("instrument")["name"]


def _limits(look: Look, held: pd.DataFrame) -> Html:
    """Draw how much of each limit of the portfolio is used."""
    rules, book = look.account.project.rules("risk", RiskLimits), look.account.book
    value = float(book.closed_equity)
    weights = held["weight"] if len(held) else pd.Series([0.0])
    highest = float(book.highest_equity)
    rows: list[tuple[str, float, float]] = [
        ("largest position", float(weights.max()), rules.max_position_weight),
        ("all positions", float(weights.sum()), rules.max_gross_exposure),
        ("loss since the highest close", 1 - value / highest if highest > 0 else 0.0, rules.max_drawdown),
    ]
    sectors = _sector_weights(look, held)
    if len(sectors):
        rows.insert(1, (f"largest sector, {sectors.idxmax()}", float(sectors.max()), rules.max_sector_weight))
    shown = pd.DataFrame(rows, columns=["limit", "used", "most"])
    shown["bar"] = [(used, most, f"{wording.percent(used)} of {wording.percent(most)}") for _, used, most in rows]
    columns = [
        Column("limit", "limit", kind="text"),
        Column("bar", "used", bar_of, "text"),
    ]
    return table(shown, columns, f"Limits of the portfolio, {look.close_in_words}")


def _sector_weights(look: Look, held: pd.DataFrame) -> pd.Series:
    project = look.served.project
    if held.empty or not project.has("instruments"):
        return pd.Series(dtype="float64")
    sectors = project.table("instruments").set_index("instrument")["sector"]
    return held.groupby(held["instrument"].map(sectors).fillna(held["instrument"]).to_numpy())["weight"].sum()
