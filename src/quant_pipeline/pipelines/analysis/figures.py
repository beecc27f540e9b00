"""Figures of the analysis: each function makes one from one table."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from quant_pipeline.evaluation.risk_factors.exposures import STYLES
from quant_pipeline.evaluation.risk_factors.regression import MARKET
from quant_pipeline.reports import wording
from quant_pipeline.reports.theme import blank_figure, light, say_instead, series_style

NOTHING = "No session yet"
SUMMED = {
    "market": (MARKET,),
    "sectors": ("sectors",),
    "styles": STYLES,
    "selection": ("selection", "not_modelled"),
    "trading and costs": ("trading", "costs", "interest"),
    "rest": ("other", "rest"),
}
"""Lines of the figure of the attribution, and the parts that each sums up."""


def draw_attribution(attribution: pd.DataFrame, currency: str) -> go.Figure:
    """Draw what every part has brought since the first session, in money.

    Parameters
    ----------
    attribution
        One row per session, see `attribute_sessions`.
    currency
        Of the amounts.
    """
    title = f"Profit by part since {wording.day(attribution['date'].min())}, {currency}"
    if attribution.empty:
        return say_instead(blank_figure(f"Profit by part, {currency}", NOTHING), NOTHING)
    total = float((attribution["change"] - attribution["flow"]).sum())
    said = ", ".join(
        f"{name} {wording.amount_signed(float(attribution[[*parts]].sum().sum()))}" for name, parts in SUMMED.items()
    )
    figure = blank_figure(title, f"The account earned {wording.amount_signed(total)} {currency}: {said}.")
    for place, (name, parts) in enumerate(SUMMED.items()):
        path = attribution[[*parts]].sum(axis=1).cumsum()
        figure.add_scatter(x=attribution["date"], y=path, name=name, line=series_style(place))
    return figure.update_yaxes(tickformat=",.3~s", hoverformat="+,.0f")


def draw_exposures(exposures: pd.DataFrame) -> go.Figure:
    """Draw the newest exposures of account and backtest to the styles.

    Parameters
    ----------
    exposures
        See `compare_exposures`.
    """
    title = "Exposure to styles at the newest close, in deviations of the universe"
    shown = exposures[exposures["factor"].isin(STYLES) & exposures["newest"].notna()]
    if shown.empty:
        return say_instead(blank_figure(title, NOTHING), NOTHING)
    figure = blank_figure(title, "; ".join(_sentence(name, rows) for name, rows in shown.groupby("portfolio")))
    colours = {"account": light("accent"), "backtest": light("reference")}
    for name, rows in shown.groupby("portfolio", sort=False):
        figure.add_bar(x=rows["factor"], y=rows["newest"], name=str(name), marker={"color": colours[str(name)]})
    return figure.update_layout(barmode="group", height=300).update_yaxes(tickformat="+.1f", hoverformat="+.2f")


def _sentence(name: object, rows: pd.DataFrame) -> str:
    said = ", ".join(f"{row.factor} {row.newest:+.2f}" for row in rows.itertuples(index=False))
    return f"{name}: {said}".replace("-", "\N{MINUS SIGN}")


def draw_shadow(shadow_sessions: pd.DataFrame, currency: str) -> go.Figure:
    """Draw the cumulated difference between the shadow and the account.

    Parameters
    ----------
    shadow_sessions
        See `quant_pipeline.trading.shadow.tables.sessions_table`.
    currency
        Of the amounts.
    """
    title = f"What the backtest has earned more than the account, cumulated, {currency}"
    if shadow_sessions.empty:
        return say_instead(blank_figure(title, NOTHING), NOTHING)
    path = shadow_sessions["difference"].cumsum()
    figure = blank_figure(title, f"It is {wording.amount_signed(path.iloc[-1])} {currency} at the end.")
    line = {"color": light("accent"), "width": 2.0}
    figure.add_scatter(x=shadow_sessions["date"], y=path, name="difference", line=line)
    return figure.update_yaxes(tickformat=",.3~s", hoverformat="+,.2f", rangemode="tozero").update_layout(height=260)
