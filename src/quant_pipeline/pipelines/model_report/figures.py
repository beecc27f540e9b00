"""Figures of models: rank IC by year, and rolling against the band of validation."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from quant_pipeline.reports import wording
from quant_pipeline.reports.theme import blank_figure, light, plain, say_instead, series_style


def draw_years(years: pd.DataFrame, models: list[str]) -> go.Figure:
    """Draw the mean rank IC of every model by year.

    Parameters
    ----------
    years
        ``model``, ``year``, ``rank_ic``.
    models
        Which, in this order.
    """
    best = years.loc[years["rank_ic"].idxmax()] if len(years) else None
    highest = (
        f" Highest: {best['model']} in {best['year']}, {wording.coefficient(best['rank_ic'])}."
        if best is not None
        else ""
    )
    figure = blank_figure("Mean rank IC by year", "An edge that comes from one year is no edge." + highest)
    for index, model in enumerate(models):
        part = years[years["model"] == model]
        colour = series_style(index)["color"]
        figure.add_bar(x=part["year"].astype(str), y=part["rank_ic"], name=plain(model), marker_color=colour)
    figure.update_xaxes(hoverformat=None, type="category")
    return figure.update_yaxes(hoverformat="+.4f", tickformat="+.2f")


def draw_bands(bands: dict[str, pd.DataFrame]) -> go.Figure:
    """Draw the rolling rank IC of every model; the dotted line of the same colour is where its band ends.

    Parameters
    ----------
    bands
        Model to ``date``, ``rolling``, ``lower``.
    """
    figure = blank_figure(
        "Rolling rank IC since validation",
        "Below its dotted line a model does less than its validation promised, by more than chance explains.",
    )
    drawn = {model: band.dropna(subset="rolling") for model, band in bands.items()}
    if all(band.empty for band in drawn.values()):
        return say_instead(figure, "There are not enough sessions since validation yet")
    for index, (model, band) in enumerate(drawn.items()):
        style = series_style(index)
        figure.add_scatter(x=band["date"], y=band["rolling"], name=plain(model), line=style)
        dotted = {**style, "dash": "dot", "width": 1}
        figure.add_scatter(
            x=band["date"], y=band["lower"], name=plain(model), line=dotted, showlegend=False, hoverinfo="skip"
        )
    figure.add_hline(y=0, line={"color": light("reference"), "width": 1})
    return figure.update_yaxes(hoverformat="+.4f", tickformat="+.2f")
