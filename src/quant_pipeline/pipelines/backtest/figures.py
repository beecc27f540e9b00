"""Draw the equity curve of a backtest, for pages, as a page of its own and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import masthead, picture, section
from quant_pipeline.reports.page import compose_page
from quant_pipeline.reports.theme import blank_figure, light, say_instead

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_BACKTEST = "No backtest yet"


def drawdown_table(backtest_nav: pd.DataFrame) -> pd.DataFrame:
    """Measure how far strategy and benchmark stand below their highest value so far.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``nav``, ``benchmark``: fractions, 0 or negative.
    """
    columns = ["nav", "benchmark"]
    return pd.concat([backtest_nav["date"], backtest_nav[columns] / backtest_nav[columns].cummax() - 1], axis=1)


def draw_net_asset_value(backtest_nav: pd.DataFrame, currency: str) -> go.Figure:
    """Draw net asset value against the benchmark, both from the same start, logarithmic.

    Parameters
    ----------
    backtest_nav
        ``date``, ``nav``, ``benchmark``.
    currency
        Of the amounts.
    """
    title = f"Net asset value, {currency}"
    if backtest_nav.empty:
        return say_instead(blank_figure(title, NO_BACKTEST), NO_BACKTEST)
    first, last = backtest_nav.iloc[0], backtest_nav.iloc[-1]
    figure = blank_figure(
        title,
        f"From {wording.day(first['date'])} to {wording.day(last['date'])} the strategy went from "
        f"{wording.amount(first['nav'])} to {wording.amount(last['nav'])} {currency}, "
        f"the benchmark to {wording.amount(last['benchmark'])} {currency}.",
    )
    dates = backtest_nav["date"]
    benchmark = {"color": light("reference"), "width": 1.6}
    figure.add_scatter(x=dates, y=backtest_nav["benchmark"], name="benchmark", line=benchmark, legendrank=2)
    figure.add_scatter(
        x=dates, y=backtest_nav["nav"], name="strategy", legendrank=1, line={"color": light("accent"), "width": 2.2}
    )
    return figure.update_yaxes(type="log", tickformat=",.3~s", hoverformat=",.0f")


def draw_drawdown(backtest_nav: pd.DataFrame) -> go.Figure:
    """Draw how far strategy and benchmark stand below their highest value so far.

    Parameters
    ----------
    backtest_nav
        ``date``, ``nav``, ``benchmark``.
    """
    title = "Drawdown from the highest value so far"
    if backtest_nav.empty:
        return say_instead(blank_figure(title, NO_BACKTEST), NO_BACKTEST)
    depth = drawdown_table(backtest_nav)
    deepest = depth.loc[depth["nav"].idxmin()]
    figure = blank_figure(
        title,
        f"The strategy was lowest on {wording.day(deepest['date'])}, {wording.percent(-deepest['nav'])} below its "
        f"highest value; the benchmark fell up to {wording.percent(-depth['benchmark'].min())}.",
    )
    strategy = {"color": light("loss"), "width": 1.4}
    benchmark = {"color": light("reference"), "width": 1.4}
    figure.add_scatter(
        x=depth["date"], y=depth["nav"], name="strategy", fill="tozeroy", fillcolor=light("loss-wash"), line=strategy
    )
    figure.add_scatter(x=depth["date"], y=depth["benchmark"], name="benchmark", line=benchmark)
    return figure.update_yaxes(tickformat=".0%", hoverformat=".1%", rangemode="tozero").update_layout(height=280)


def compose_equity_curve(backtest_nav: pd.DataFrame, name: str, account: str, currency: str) -> str:
    """Compose the page of a backtest: net asset value and drawdown.

    Parameters
    ----------
    backtest_nav
        ``date``, ``nav``, ``benchmark``.
    name
        Of the combination.
    account
        Of the account.
    currency
        Of the amounts.

    Returns
    -------
    str
        A self-contained HTML page; the same input gives the same bytes.
    """
    first, last = (wording.day(backtest_nav["date"].iloc[place]) for place in (0, -1))
    sentence = f"From {first} to {last}, after costs, beside the benchmark with its dividends."
    header = masthead("Backtest", f"Equity curve of {name}", sentence, account=account)
    parts = [
        section("value", "Net asset value", picture(draw_net_asset_value(backtest_nav, currency), "net-asset-value")),
        section("drawdown", "Drawdown", picture(draw_drawdown(backtest_nav), "drawdowns")),
    ]
    return compose_page(
        title=f"{account}: equity curve of {name}",
        header=header,
        links=[("value", "Value"), ("drawdown", "Drawdown")],
        parts=parts,
        footer="This page contains all it needs: no part of it is loaded from a network.",
    )


def draw_equity_picture(backtest_nav: pd.DataFrame, name: str, currency: str) -> Figure:
    """Draw net asset value and drawdown without a script, for programs that show pictures only.

    Parameters
    ----------
    backtest_nav
        ``date``, ``nav``, ``benchmark``.
    name
        Of the combination.
    currency
        Of the amounts.
    """
    from matplotlib.figure import Figure  # Only here: the daily run draws none and would wait for it.

    figure = Figure(figsize=(10, 6), layout="constrained")
    value, depth = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    below = drawdown_table(backtest_nav)
    days = backtest_nav["date"].to_numpy()
    lines = (("benchmark", light("reference"), 1.2), ("nav", light("accent"), 1.8))
    for column, colour, width in lines:
        label = "strategy" if column == "nav" else column
        value.plot(days, backtest_nav[column], color=colour, linewidth=width, label=label)
        depth.plot(days, 100 * below[column], color=colour, linewidth=width)
    value.set_title(f"{name}: net asset value, {currency}".replace("$", r"\$"), loc="left")
    value.set_yscale("log")
    value.legend(frameon=False, loc="upper left")
    depth.set_ylabel("drawdown, %")
    for axes in (value, depth):
        axes.grid(color=light("line"))
        axes.spines[["top", "right"]].set_visible(False)
    return figure
