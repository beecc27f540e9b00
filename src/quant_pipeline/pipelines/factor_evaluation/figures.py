"""Figures of factors: each function makes one about the factors it is given, strongest first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from quant_pipeline.reports import wording
from quant_pipeline.reports.theme import blank_figure, light, plain, say_instead, series_style

SHOWN_AS_LINES = 6
SHOWN_AS_ROWS = 25
WRITTEN_COLUMNS = 12
"""Columns of a heat map up to which numbers stand in its cells."""


def draw_decay(factor_decay: pd.DataFrame, factors: list[str]) -> go.Figure:
    """Draw the mean rank IC over horizons, with confidence bands.

    Parameters
    ----------
    factor_decay
        ``factor``, ``horizon``, ``rank_ic`` with bands.
    factors
        Which to draw.
    """
    figure = blank_figure(
        "Mean rank IC by horizon",
        "Bars are confidence bands with Newey-West errors; a band across zero is no finding. "
        + _ends(factor_decay.groupby("factor")["rank_ic"].last(), factors, wording.coefficient),
    )
    for index, factor in enumerate(factors):
        part = factor_decay[factor_decay["factor"] == factor]
        error = {
            "array": part["rank_ic_upper"] - part["rank_ic"],
            "arrayminus": part["rank_ic"] - part["rank_ic_lower"],
            "thickness": 1,
            "width": 3,
        }
        line = series_style(index)
        figure.add_scatter(
            x=part["horizon"].astype(str), y=part["rank_ic"], name=plain(factor), line=line, error_y=error
        )
    _mark_zero(figure)
    figure.update_xaxes(title="horizon, sessions", hoverformat=None, type="category")
    return figure.update_yaxes(hoverformat="+.4f", tickformat="+.2f")


def draw_quantiles(factor_quantiles: pd.DataFrame, factors: list[str], horizon: int) -> go.Figure:
    """Draw the mean return of every quantile over that of its session.

    Parameters
    ----------
    factor_quantiles
        ``factor``, ``horizon``, ``quantile``, ``excess_return``.
    factors, horizon
        Which to draw.
    """
    chosen = factor_quantiles[factor_quantiles["horizon"] == horizon]
    figure = blank_figure(
        f"Mean excess return by quantile over {wording.plural(horizon, 'session')}",
        "Quantile 1 holds the lowest values. A staircase, up or down, is a factor that works over its whole range.",
    )
    for index, factor in enumerate(factors):
        part = chosen[chosen["factor"] == factor]
        colour = series_style(index)["color"]
        figure.add_bar(x=part["quantile"].astype(str), y=part["excess_return"], name=plain(factor), marker_color=colour)
    figure.update_xaxes(title="quantile", hoverformat=None, type="category")
    return figure.update_yaxes(hoverformat="+.3%", tickformat="+.2%")


def draw_cumulative(factor_sessions: pd.DataFrame, factors: list[str], column: str) -> go.Figure:
    """Draw the running sum of a value per session.

    Parameters
    ----------
    factor_sessions
        ``factor``, ``date`` and the value.
    factors
        Which to draw.
    column
        ``rank_ic`` or ``spread``.
    """
    is_spread = column == "spread"
    title = "Running sum of returns, highest less lowest quantile, before costs" if is_spread else "Cumulative rank IC"
    wide = factor_sessions[factor_sessions["factor"].isin(factors)].pivot(index="date", columns="factor", values=column)
    running = wide.astype("float64").fillna(0.0).cumsum()
    write = wording.percent_signed if is_spread else wording.ratio
    figure = blank_figure(title, "A steady slope is a steady edge. " + _ends(running.iloc[-1], factors, write))
    for index, factor in enumerate(factors):
        figure.add_scatter(x=running.index, y=running[factor], name=plain(factor), line=series_style(index))
    return figure.update_yaxes(hoverformat="+.1%" if is_spread else "+.2f", tickformat="+.0%" if is_spread else None)


def draw_persistence(factor_summary: pd.DataFrame) -> go.Figure:
    """Draw strength against persistence: what is strong and lasts can be traded, what changes daily costs its edge.

    Parameters
    ----------
    factor_summary
        ``factor``, ``rank_ic_t``, ``autocorrelation``.
    """
    figure = blank_figure(
        "Strength against persistence",
        "Up: stronger. Right: the order of instruments outlives a session, so there is less to trade.",
    )
    known = factor_summary.dropna(subset=["rank_ic_t", "autocorrelation"])
    if known.empty:
        return say_instead(figure, "No factor has enough sessions")
    figure.add_scatter(
        x=known["autocorrelation"],
        y=known["rank_ic_t"].abs(),
        text=[plain(name) for name in known["factor"]],
        mode="markers" if len(known) > SHOWN_AS_ROWS else "markers+text",
        textposition=_places(known["autocorrelation"], known["rank_ic_t"].abs(), list(known["factor"])),
        cliponaxis=False,
        marker={"color": light("accent"), "size": 7, "opacity": 0.7},
        hovertemplate="%{text}<br>autocorrelation %{x:.3f}<br>|t| %{y:.2f}<extra></extra>",
    )
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(title="rank autocorrelation, one session", hoverformat=None)
    return figure.update_yaxes(title="absolute t of the mean rank IC", rangemode="tozero")


def _places(x: pd.Series, y: pd.Series, names: list[str]) -> list[str]:
    """Place names beside their points so that they do not lie on each other; by the size that figures usually have."""
    # A letter is about this part of the width of a figure, a line this part of its height.
    letter, line = 0.008, 0.06
    across = (x - x.min()) / max(x.max() - x.min(), 1e-9)
    up = y / max(y.max(), 1e-9)
    taken = [(a - letter, a + letter, b - line / 3, b + line / 3) for a, b in zip(across, up, strict=True)]
    places = []
    for right, top, name in zip(across, up, names, strict=True):
        half = len(name) * letter / 2
        middles = {
            "top center": (right, top + line),
            "bottom center": (right, top - line),
            "middle left": (right - half - 2 * letter, top),
            "middle right": (right + half + 2 * letter, top),
        }
        boxes = {place: (a - half, a + half, b - line / 2, b + line / 2) for place, (a, b) in middles.items()}
        free = [
            place
            for place, box in boxes.items()
            if box[1] <= 1 + 3 * letter and box[2] >= 0 and not any(_meet(box, other) for other in taken)
        ]
        place = free[0] if free else "middle left"
        taken.append(boxes[place])
        places.append(place)
    return places


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    """Whether two boxes (left, right, bottom, top) overlap."""
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def draw_relations(factor_correlations: pd.DataFrame, factors: list[str], noun: str = "factor") -> go.Figure:
    """Draw the correlation of factors with the known ones, as a heat map.

    Parameters
    ----------
    factor_correlations
        ``factor``, ``other``, ``correlation``, ``is_known``.
    factors
        Which to draw, strongest first; those among the known ones come in the same order.
    noun
        What they are.
    """
    figure = blank_figure(
        f"Correlation with known {noun}s",
        f"Mean correlation of ranks within sessions. Beyond ±0.7 a {noun} says little that is new.",
    )
    known = factor_correlations[factor_correlations["is_known"] & factor_correlations["factor"].isin(factors)]
    if known.empty:
        return say_instead(figure, f"There is no other known {noun}")
    names = sorted(known["other"].unique())
    others = [name for name in factors if name in names] + [name for name in names if name not in factors]
    wide = known.pivot(index="factor", columns="other", values="correlation").reindex(factors[::-1])[others]
    written = {"texttemplate": "%{text}"} if len(others) <= WRITTEN_COLUMNS else {}
    figure.add_heatmap(
        x=[plain(name) for name in wide.columns],
        y=[plain(name) for name in wide.index],
        z=np.round(wide.to_numpy(), 3),
        text=wide.map(lambda value: "" if pd.isna(value) else wording.ratio_signed(value)).to_numpy(),
        zmin=-1,
        zmax=1,
        colorscale=[[0, light("loss")], [0.5, light("surface")], [1, light("accent")]],
        hovertemplate="%{y} with %{x}: %{z:+.2f}<extra></extra>",
        colorbar={"thickness": 10, "tickfont": {"color": light("muted")}},
        **written,
    )
    figure.update_layout(hovermode="closest", height=120 + 20 * max(len(wide), 8))
    return figure.update_xaxes(hoverformat=None, type="category").update_yaxes(type="category", dtick=1)


def _mark_zero(figure: go.Figure) -> None:
    figure.add_hline(y=0, line={"color": light("reference"), "width": 1})


def _ends(last: pd.Series, factors: list[str], write: wording.Write) -> str:
    named = ", ".join(f"{factor} {write(last.get(factor))}" for factor in factors[:3])
    return f"At the end: {named}."
