"""Compose: one self-contained HTML page that opens from a file and needs no network."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

from plotly.offline import get_plotlyjs

from quant_pipeline.reports import theme
from quant_pipeline.reports.elements import Html, as_json
from quant_pipeline.reports.rendering import render

_ASSETS = files(__package__)
STYLE = _ASSETS.joinpath("style.css").read_text(encoding="utf-8")
BEHAVIOUR = _ASSETS.joinpath("behaviour.js").read_text(encoding="utf-8")


def compose_page(title: str, header: Html, links: Sequence[tuple[str, str]], parts: Sequence[Html], footer: str) -> str:
    """Put the parts of a report on one page.

    Parameters
    ----------
    title
        Of the browser window.
    header
        Everything above the links.
    links
        Pairs of a section's name and what the link says.
    parts
        Sections in reading order.
    footer
        Last line.

    Returns
    -------
    str
        HTML; the same input gives the same bytes.
    """
    return render(
        "page.html",
        title=title,
        header=header,
        links=links,
        parts=parts,
        footer=footer,
        colours=Html(style_colours()),
        style=Html(STYLE),
        behaviour=Html(BEHAVIOUR),
        dark_twins=as_json(theme.dark_twins()),
        library=packed_library(),
    )


@lru_cache(maxsize=1)
def packed_library() -> str:
    """Return plotly.js as base64 of gzip, without a time stamp: 1.9 MB instead of 4.8 MB."""
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()


def style_colours() -> str:
    """Write the colours of the theme, light and dark, as CSS."""
    light, dark = theme.style_variables(dark=False), theme.style_variables(dark=True)
    return (
        f":root {{ color-scheme: light; {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{ color-scheme: dark; {dark} }} }}\n"
        f":root[data-theme=dark] {{ color-scheme: dark; {dark} }}\n"
        f"body {{ font-family: {theme.FONT}; }}"
    )
