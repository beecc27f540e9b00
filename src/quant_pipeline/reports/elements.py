"""HTML building blocks: a function for each macro of ``templates/elements.html``, which escapes every text once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup

from quant_pipeline.reports import wording
from quant_pipeline.reports.rendering import call_macro
from quant_pipeline.reports.ticks import label_apart

Html = Markup
"""Text that is markup already; everything else gets escaped."""

Kind = Literal["number", "signed", "share", "text", "long", "tag"]
TONES = {"buy": "gain", "sell": "loss", "error": "loss", "warning": "caution"}
"""Colours of tags; the word says the same."""

LONG_NAME = 16
"""Letters of a row's name from which on it may break on narrow screens; dates never do."""

HEAT_CAP = 0.08
"""Monthly return at which the colour of a cell is full."""


@dataclass(frozen=True)
class Column:
    """How one column of a table is shown.

    Attributes
    ----------
    name
        Column of the frame.
    heading
        With the unit, for people.
    write
        Turns a value into text.
    kind
        ``number`` is right-aligned; ``signed`` also coloured by its sign; ``share`` has a bar beside it; ``text`` is
        left-aligned; ``long`` may wrap; ``tag`` is one word in a frame.
    full
        Value at which the bar of a ``share`` is full.
    """

    name: str
    heading: str
    write: wording.Write = wording.text
    kind: Kind = "number"
    full: float = 1.0


class Card(NamedTuple):
    """A headline figure: what it is, its value, what to compare it with, and the section that explains it."""

    label: str
    value: str
    beside: str
    section: str
    is_alarm: bool = False


class _Cell(NamedTuple):
    """A cell as its macro writes it: text, class, and what colours it."""

    text: str
    style: str = ""
    tag: str = ""
    share: str = ""
    tint: str = ""


class _Row(NamedTuple):
    cells: Sequence[_Cell]
    is_strong: bool = False


def join(parts: Iterable[str]) -> Html:
    """Put text and markup one after another."""
    return Html("").join(parts)


def paragraph(*parts: str, style: str = "") -> Html:
    """Write a paragraph from text and markup."""
    return call_macro("paragraph", parts, style)


def masthead(kind: str, title: str, sentence: str, *, account: str = "", is_real: bool = False) -> Html:
    """Head a page: what it is, of which account, its title, the switch between light and dark, and one sentence."""
    return call_macro("masthead", kind, title, sentence, account, is_real)


def code(text: str) -> Html:
    """Show something to type."""
    return call_macro("code", text)


def section(name: str, heading: str, *parts: str) -> Html:
    """Put parts under a heading that links can point to."""
    return call_macro("section", name, heading, parts)


def details(summary: str, *parts: str) -> Html:
    """Fold parts away under one line."""
    return call_macro("details", summary, parts)


def side_by_side(*parts: str) -> Html:
    """Show parts beside each other where the screen is wide enough."""
    return call_macro("side_by_side", parts)


def cards(items: Sequence[Card]) -> Html:
    """Show the headline figures, each linking to its section."""
    return call_macro("cards", items)


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Show names with values."""
    return call_macro("facts", pairs)


def run_first(what: str, command: str) -> Html:
    """Say what is not there yet, and which command makes it."""
    return paragraph(what, " Run ", code(command), " first.", style="empty")


def commands(pairs: Iterable[tuple[str, str]]) -> Html:
    """Show command lines with what they do."""
    return call_macro("commands", pairs)


def preformatted(text: str) -> Html:
    """Show text with its line breaks."""
    return call_macro("preformatted", text)


def table(frame: pd.DataFrame, columns: Sequence[Column], caption: str, strong: str | None = None) -> Html:
    """Show a table that scrolls sideways on narrow screens.

    Parameters
    ----------
    frame
        The rows; the first of `columns` names each row.
    columns
        What to show, in this order; other columns of the frame are left out.
    caption
        What the table shows.
    strong
        Value of the first column whose row is emphasised.
    """
    first, *others = columns
    rows = [
        _Row(
            [_name_cell(first, label), *map(_cell, others, values)],
            is_strong=strong is not None and label == strong,
        )
        for label, *values in frame[[column.name for column in columns]].itertuples(index=False)
    ]
    headings = [(column.kind, column.heading) for column in columns]
    return call_macro("table", caption, headings, rows)


def heat_table(frame: pd.DataFrame, tinted: Sequence[str], caption: str) -> Html:
    """Show fractions by row and column, coloured by sign and size.

    Parameters
    ----------
    frame
        Fractions; the index names the rows.
    tinted
        Columns that get a colour; the others are plain totals.
    caption
        What the table shows.
    """
    headings = [("text", str(frame.index.name)), *(("", str(name)) for name in frame.columns)]
    rows = [
        _Row([_Cell(str(label), "text"), *(_heat_cell(value, name in tinted) for name, value in values.items())])
        for label, values in frame.iterrows()
    ]
    return call_macro("table", caption, headings, rows, "heat")


def picture(figure: go.Figure, name: str, *, scale_choice: bool = False) -> Html:
    """Embed a figure as data; the script of the page draws it in the colours of the surroundings.

    Parameters
    ----------
    figure
        Its title becomes the caption, ``layout.meta["description"]`` the text for those who cannot see it.
    name
        Identifier on the page.
    scale_choice
        Offer a logarithmic and a linear value axis.
    """
    shown = label_apart(go.Figure(figure)).to_plotly_json()
    layout = figure.layout
    shown["layout"] = {**shown["layout"], "title": None, "margin": {**shown["layout"]["margin"], "t": 52}}
    data = _inside_script(go.Figure(shown).to_json())
    return call_macro("picture", name, layout.title.text, layout.meta["description"], layout.height, data, scale_choice)


def as_json(value: object) -> Html:
    """Write data for a script element."""
    return _inside_script(json.dumps(value))


def _inside_script(data: str) -> Html:
    """Mark JSON as markup; without ``<`` it cannot end its script element."""
    return Html(data.replace("<", "\\u003c"))


def _name_cell(column: Column, value: Any) -> _Cell:
    written = column.write(value)
    return _Cell(written, f"{column.kind} name" if len(written) >= LONG_NAME else column.kind)


def _cell(column: Column, value: Any) -> _Cell:
    written = column.write(value)
    match column.kind:
        case "signed":
            tone = "" if pd.isna(value) or value == 0 else " gain" if value > 0 else " loss"
            return _Cell(written, f"signed{tone}")
        case "share":
            share = 0.0 if pd.isna(value) or column.full <= 0 else min(max(value / column.full, 0.0), 1.0)
            return _Cell(written, "share", share=f"{share:.3f}")
        case "tag":
            return _Cell(written, "tag", tag=TONES.get(value, "plain"))
    return _Cell(written, column.kind)


def _heat_cell(value: float, is_tinted: bool) -> _Cell:
    written = wording.percent_signed(value) if pd.notna(value) else ""
    if not is_tinted:
        return _Cell(written, "total")
    if pd.isna(value):
        return _Cell("")
    strength = min(abs(value) / HEAT_CAP, 1.0)
    return _Cell(written, "tint-gain" if value >= 0 else "tint-loss", tint=f"{strength:.2f}")
