"""The look that figures and page share: every colour has a role, a light value and a dark value."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

import plotly.graph_objects as go


class Shade(NamedTuple):
    """A colour in light and in dark surroundings."""

    light: str
    dark: str


COLOURS = {
    "wash": Shade("#f4f5f7", "#0f141a"),
    "surface": Shade("#ffffff", "#171d25"),
    "line": Shade("#e1e5ea", "#2b343f"),
    "ink": Shade("#1a2330", "#e7ebf0"),
    "muted": Shade("#566270", "#a3afbc"),
    "accent": Shade("#0b5cad", "#6cb4ff"),
    "reference": Shade("#7a8695", "#8d99a7"),
    "gain": Shade("#1e7345", "#63c98f"),
    "loss": Shade("#b3352b", "#f2877e"),
    "loss-wash": Shade("#f5dcd9", "#43282a"),
    "caution": Shade("#8a5a00", "#e3b04b"),
}
"""Role of a colour to its shades. Light values differ from each other: the page swaps them for the dark ones."""

SERIES = (
    Shade("#0072b2", "#56a9e0"),
    Shade("#c05600", "#f09a4a"),
    Shade("#007a5a", "#3fc49a"),
    Shade("#8f4a9c", "#cf94dc"),
    Shade("#8c6d00", "#d6bb4c"),
    Shade("#a33a5e", "#ef8fb0"),
)
"""Colours of models, apart for colour-blind eyes too."""

DASHES = ("solid", "dash", "dot", "dashdot")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
HEIGHT = 340


def light(role: str) -> str:
    """Return the colour that figures are drawn with.

    Parameters
    ----------
    role
        A key of :data:`COLOURS`.
    """
    return COLOURS[role].light


def series_style(index: int) -> dict[str, object]:
    """Return the line of the n-th model: six colours, then the same colours dashed."""
    colour = SERIES[index % len(SERIES)].light
    return {"color": colour, "dash": DASHES[index // len(SERIES) % len(DASHES)], "width": 1.6}


def dark_twins() -> dict[str, str]:
    """Map every colour that figures are drawn with to the one that replaces it in dark surroundings."""
    return {shade.light: shade.dark for shade in (*COLOURS.values(), *SERIES)}


def style_variables(*, dark: bool) -> str:
    """Write the colours as CSS custom properties."""
    return "".join(f"--{role}:{shade.dark if dark else shade.light};" for role, shade in COLOURS.items())


def plain(text: object) -> str:
    """Write a name from data so that plotly shows it letter by letter; plotly reads a little HTML in labels."""
    return escape(str(text), quote=False)


def blank_figure(title: str, description: str) -> go.Figure:
    """Return a figure without data, in the look of the project.

    Parameters
    ----------
    title
        What the figure shows, with its unit.
    description
        One sentence for those who cannot see it; kept in ``layout.meta["description"]``.
    """
    axis = {
        "gridcolor": light("line"),
        "zerolinecolor": light("line"),
        "linecolor": light("line"),
        "tickfont": {"color": light("muted")},
        "automargin": True,
    }
    return go.Figure(
        layout={
            "title": {"text": title, "font": {"size": 15}, "x": 0, "xref": "paper", "yref": "container", "y": 0.97},
            "meta": {"description": description},
            "font": {"family": FONT, "size": 12, "color": light("ink")},
            "paper_bgcolor": light("surface"),
            "plot_bgcolor": light("surface"),
            "height": HEIGHT,
            "margin": {"l": 8, "r": 12, "t": 72, "b": 8},
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"},
            "hovermode": "x unified",
            "hoverlabel": {"bgcolor": light("surface"), "bordercolor": light("line"), "font": {"color": light("ink")}},
            "xaxis": {**axis, "showgrid": False, "hoverformat": "%a %d %b %Y"},
            "yaxis": axis,
            "template": "none",
        }
    )


def say_instead(figure: go.Figure, message: str) -> go.Figure:
    """Say why there is nothing to draw, in the middle of an otherwise empty figure."""
    figure.add_annotation(
        text=message,
        x=0.5,
        y=0.5,
        xref="paper",
        yref="paper",
        showarrow=False,
        font={"color": light("muted"), "size": 14},
    )
    return figure.update_xaxes(visible=False).update_yaxes(visible=False).update_layout(height=180)
