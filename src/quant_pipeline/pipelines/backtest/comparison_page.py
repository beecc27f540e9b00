"""The page that sets two backtests side by side."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from quant_pipeline.pipelines.backtest.comparison import Comparison
from quant_pipeline.reports import wording
from quant_pipeline.reports.definitions import define
from quant_pipeline.reports.elements import Column, Html, masthead, paragraph, picture, section, table
from quant_pipeline.reports.page import compose_page
from quant_pipeline.reports.theme import blank_figure, plain, series_style

MEASURES: tuple[tuple[str, str, wording.Write], ...] = (
    ("annualised_return", "return per year, compound", wording.percent),
    ("annualised_volatility", "volatility per year", wording.percent),
    ("sharpe", "Sharpe ratio", wording.ratio),
    ("maximum_drawdown", "maximum drawdown", wording.percent),
    ("annualised_excess_return", "excess return over the benchmark per year", wording.percent_signed),
    ("information_ratio", "information ratio", wording.ratio),
    ("annualised_turnover", "turnover per year, buys plus sales", wording.times),
    ("cost_drag", "return lost to costs per year", wording.percent_exact),
)


def describe_difference(names: Sequence[str], found: Comparison) -> str:
    """Say in one sentence how much two backtests differ, and whether that is more than luck."""
    first, second = names
    band = found.difference
    by = f"{wording.percent(abs(band['mean']))} a year {'less' if band['mean'] < 0 else 'more'} than {second}"
    said = f"{first} returned {by} (daily means times 252, not compounded)"
    if pd.isna(band["low"]):
        return f"{said}, over too few sessions to say more."
    inside = band["low"] <= 0 <= band["high"]
    verdict = "so it may be luck" if inside else "so they differ by more than luck"
    return (
        f"{said}; the 95 % band of {first} less {second} is {wording.percent_signed(band['low'])} to "
        f"{wording.percent_signed(band['high'])}, {verdict}."
    )


def measures_table(found: Comparison) -> pd.DataFrame:
    """Write every measure in its own unit: ``measure``, then a column for each backtest."""
    rows = [
        {"measure": label, **{name: write(found.measures.loc[key, name]) for name in found.measures}}
        for key, label, write in MEASURES
        if key in found.measures.index
    ]
    return pd.DataFrame(rows)


def compose_comparison(
    names: Sequence[str], found: Comparison, changed: Sequence[tuple[str, str, str]], account: str, currency: str
) -> str:
    """Compose the page.

    Parameters
    ----------
    names
        Names of the two backtests.
    found
        Their comparison.
    changed
        Parameters in which they differ, with both values, see `facts.changed_parameters`.
    account
        Name of the account.
    currency
        Of the amounts.

    Returns
    -------
    str
        A self-contained HTML page; the same input gives the same bytes.
    """
    first, second = names
    span = f"{wording.day(found.levels['date'].iloc[0])} to {wording.day(found.levels['date'].iloc[-1])}"
    levels = found.levels.set_index("date")
    depths = levels / levels.cummax() - 1
    ends = ", ".join(f"{name} {wording.amount(levels[name].iloc[-1])}" for name in names)
    falls = ", ".join(f"{name} {wording.percent(-depths[name].min())}" for name in names)
    columns = [Column("measure", "measure", kind="text"), *(Column(name, name) for name in names)]
    years = [
        Column("year", "year", str, "text"),
        *(Column(name, name, wording.percent) for name in names),
        Column("difference", "difference", wording.percent_signed),
    ]
    parts = [
        section(
            "value",
            "Net asset value and drawdown",
            picture(
                _lines(
                    f"Net asset value, both from the same start, {currency}",
                    f"At the end {ends}.",
                    levels,
                    ",.4~s",
                    log=True,
                ),
                "values",
            ),
            picture(_lines("Drawdown from the highest value so far", f"At most {falls}.", depths, ".0%"), "drawdowns"),
        ),
        section(
            "measures",
            "Measures",
            paragraph(
                define(key for key, _, _ in MEASURES if key in found.measures.index),
                " The difference at the top and its band are not compounded: they are of daily returns, "
                "whose mean has a known error.",
            ),
            table(measures_table(found), columns, "Both backtests"),
            table(found.by_year, years, "Return by year; the first and the last year may be partial"),
        ),
        section("holdings", "Overlap of holdings", *_overlap(found)),
        section("parameters", "Parameters that differ", _parameters(names, changed)),
    ]
    return compose_page(
        title=f"{account}: {first} and {second}",
        header=masthead(
            "Backtests compared",
            f"{first} and {second}",
            f"Over the sessions that both have, {span}. {describe_difference(names, found)}",
            account=account,
        ),
        links=[("value", "Value"), ("measures", "Measures"), ("holdings", "Holdings"), ("parameters", "Parameters")],
        parts=parts,
        footer="This page contains all it needs: no part of it is loaded from a network.",
    )


def _overlap(found: Comparison) -> list[Html]:
    if found.overlap.empty:
        return [paragraph("There is no session in which both hold anything.", style="empty")]
    mean = wording.percent(found.overlap["overlap"].mean())
    return [
        paragraph(f"On average {mean} of the value held is held alike: the smaller of both weights, name by name."),
        picture(
            _lines(
                "Part of the value that both hold alike",
                "Sessions in which both hold something.",
                found.overlap.set_index("date"),
                ".0%",
            ),
            "overlap",
        ),
    ]


def _parameters(names: Sequence[str], changed: Sequence[tuple[str, str, str]]) -> Html:
    if not changed:
        return paragraph("All parameters that decide a backtest are equal.", style="empty")
    columns = [Column("parameter", "parameter", kind="text"), *(Column(name, name, str, "text") for name in names)]
    return table(pd.DataFrame(changed, columns=["parameter", *names]), columns, "With both values")


def _lines(title: str, description: str, values: pd.DataFrame, tick: str, *, log: bool = False) -> go.Figure:
    """Draw one line for each column."""
    figure = blank_figure(title, description)
    for index, name in enumerate(values.columns):
        figure.add_scatter(x=values.index, y=values[name], name=plain(str(name)), line=series_style(index))
    return figure.update_yaxes(type="log" if log else "linear", tickformat=tick)
