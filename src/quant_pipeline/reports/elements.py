"""HTML building blocks. Every text that comes in is escaped here and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from quant_pipeline.reports import wording

Kind = Literal["number", "signed", "share", "text", "long", "tag"]
TONES = {"buy": "gain", "sell": "loss", "error": "loss", "warning": "caution"}
"""Colours of tags; the word says the same."""

HEAT_CAP = 0.08
"""Monthly return at which the colour of a cell is full."""


class Html(str):
    """Text that is markup already; everything else gets escaped."""

    __slots__ = ()


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


def join(parts: Iterable[str]) -> Html:
    """Put markup after markup."""
    return Html("".join(safe(part) for part in parts))


def safe(text: str) -> Html:
    """Escape what is not markup."""
    return text if isinstance(text, Html) else Html(escape(text))


def paragraph(*parts: str, style: str = "") -> Html:
    """Write a paragraph from text and markup."""
    attribute = f' class="{escape(style)}"' if style else ""
    return Html(f"<p{attribute}>{join(parts)}</p>")


def masthead(kind: str, title: str, sentence: str, *, account: str = "", is_real: bool = False) -> Html:
    """Head a page: what it is, of which account, its title, the switch between light and dark, and one sentence.

    The script of every page looks for the switch.
    """
    badge = f'<span class="badge{" real" if is_real else ""}">account {escape(account)}</span>' if account else ""
    return Html(
        f'<div class="masthead"><div><p class="eyebrow">{escape(kind)}{badge}</p><h1>{escape(title)}</h1></div>'
        f'<button type="button" id="theme" hidden>Dark</button></div>{paragraph(sentence, style="verdict")}'
    )


def code(text: str) -> Html:
    """Show something to type."""
    return Html(f"<code>{escape(text)}</code>")


def section(name: str, heading: str, *parts: str) -> Html:
    """Put parts under a heading that links can point to."""
    title = f'<h2 id="{escape(name)}-heading">{escape(heading)}</h2>'
    return Html(f'<section id="{escape(name)}" aria-labelledby="{escape(name)}-heading">{title}{join(parts)}</section>')


def details(summary: str, *parts: str) -> Html:
    """Fold parts away under one line."""
    return Html(f"<details><summary>{escape(summary)}</summary>{join(parts)}</details>")


def cards(items: Sequence[Card]) -> Html:
    """Show the headline figures, each linking to its section."""
    boxes = (
        f'<li><a class="card" href="#{escape(item.section)}"><span class="label">{escape(item.label)}</span>'
        f'<span class="value{" error" if item.is_alarm else ""}">{escape(item.value)}</span>'
        f'<span class="beside">{escape(item.beside)}</span></a></li>'
        for item in items
    )
    return Html(f'<ul class="cards">{"".join(boxes)}</ul>')


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Show names with values."""
    rows = (f"<div><dt>{escape(name)}</dt><dd>{safe(value)}</dd></div>" for name, value in pairs)
    return Html(f'<dl class="facts">{"".join(rows)}</dl>')


def run_first(what: str, command: str) -> Html:
    """Say what is not there yet, and which command makes it."""
    return paragraph(what, " Run ", code(command), " first.", style="empty")


def commands(pairs: Iterable[tuple[str, str]]) -> Html:
    """Show command lines with what they do."""
    rows = (f"<div><dt>{escape(what)}</dt><dd><pre>{escape(command)}</pre></dd></div>" for command, what in pairs)
    return Html(f'<dl class="commands">{"".join(rows)}</dl>')


def preformatted(text: str) -> Html:
    """Show text with its line breaks."""
    return Html(f"<pre>{escape(text)}</pre>")


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
    head = "".join(f'<th scope="col" class="{column.kind}">{escape(column.heading)}</th>' for column in columns)
    rows = []
    for record in frame[[column.name for column in columns]].itertuples(index=False):
        emphasis = ' class="strong"' if strong is not None and record[0] == strong else ""
        cells = "".join(
            _cell(column, value, place == 0) for place, (column, value) in enumerate(zip(columns, record, strict=True))
        )
        rows.append(f"<tr{emphasis}>{cells}</tr>")
    return _scrolling(caption, head, "".join(rows))


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
    corner = f'<th scope="col" class="text">{escape(str(frame.index.name))}</th>'
    head = corner + "".join(f'<th scope="col">{escape(str(name))}</th>' for name in frame.columns)
    rows = []
    for label, values in frame.iterrows():
        cells = "".join(_heat_cell(value, name in tinted) for name, value in values.items())
        rows.append(f'<tr><th scope="row" class="text">{escape(str(label))}</th>{cells}</tr>')
    return _scrolling(caption, head, "".join(rows), "heat")


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
    shown = figure.to_plotly_json()
    title = figure.layout.title.text
    description = figure.layout.meta["description"]
    shown["layout"] = {**shown["layout"], "title": None, "margin": {**shown["layout"]["margin"], "t": 36}}
    data = go.Figure(shown).to_json().replace("<", "\\u003c")
    choice = _SCALE_CHOICE if scale_choice else ""
    return Html(
        f'<figure id="{escape(name)}"><div class="figure-head"><figcaption><strong>{escape(title)}</strong>'
        f"<span>{escape(description)}</span></figcaption>{choice}</div>"
        f'<div class="plot" role="img" aria-label="{escape(f"{title}. {description}")}" '
        f'style="min-height:{figure.layout.height}px"></div>'
        f'<script type="application/json">{data}</script></figure>'
    )


def as_json(value: object) -> Html:
    """Write data for a script element; ``<`` cannot end the element."""
    return Html(json.dumps(value).replace("<", "\\u003c"))


_SCALE_CHOICE = (
    '<div class="choice" role="group" aria-label="Scale of the value axis">'
    '<button type="button" data-scale="log" aria-pressed="true">log</button>'
    '<button type="button" data-scale="linear" aria-pressed="false">linear</button></div>'
)


def _scrolling(caption: str, head: str, body: str, style: str = "") -> Html:
    attribute = f' class="{style}"' if style else ""
    return Html(
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table{attribute}>'
        f"<caption><span>{escape(caption)}</span></caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(column: Column, value: Any, is_first: bool) -> str:
    written = escape(column.write(value))
    if is_first:
        return f'<th scope="row" class="{column.kind}">{written}</th>'
    if column.kind == "signed":
        tone = "" if pd.isna(value) or value == 0 else " gain" if value > 0 else " loss"
        return f'<td class="signed{tone}">{written}</td>'
    if column.kind == "share":
        share = 0.0 if pd.isna(value) or column.full <= 0 else min(max(value / column.full, 0.0), 1.0)
        return f'<td class="share">{written}<i style="--share:{share:.3f}"></i></td>'
    if column.kind == "tag":
        return f'<td class="tag"><span class="is-{TONES.get(value, "plain")}">{written}</span></td>'
    return f'<td class="{column.kind}">{written}</td>'


def _heat_cell(value: float, is_tinted: bool) -> str:
    written = escape(wording.percent_signed(value)) if pd.notna(value) else ""
    if not is_tinted:
        return f'<td class="total">{written}</td>'
    if pd.isna(value):
        return "<td></td>"
    strength = min(abs(value) / HEAT_CAP, 1.0)
    return f'<td class="tint-{"gain" if value >= 0 else "loss"}" style="--tint:{strength:.2f}">{written}</td>'
