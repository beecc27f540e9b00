"""One self-contained HTML page: it opens from a file, needs no network, and escapes everything that comes from data."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

Format = Callable[[object], str]

STYLE = """
:root { --ink: #1f2933; --muted: #616e7c; --line: #e4e7eb; --paper: #ffffff; --wash: #f5f7fa; --accent: #1b6ca8; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--wash); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
header h1 { font-size: 28px; margin: 0 0 4px; letter-spacing: -0.01em; }
header p, .note { color: var(--muted); margin: 0 0 12px; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 20px; margin-top: 20px; }
h2 { font-size: 18px; margin: 0 0 8px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin-top: 20px; }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; }
.card .label { color: var(--muted); font-size: 13px; }
.card .value { font-size: 22px; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); padding-bottom: 6px; }
th, td { padding: 5px 10px; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { color: var(--muted); font-weight: 600; }
td.text, th.text { text-align: left; }
td.long { white-space: normal; min-width: 280px; }
code, pre { font: 13px/1.6 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { background: var(--wash); padding: 12px; border-radius: 6px; overflow-x: auto; margin: 0; }
"""


def compose_page(title: str, subtitle: str, parts: Sequence[str]) -> str:
    """Put the parts of a report on one page.

    Parameters
    ----------
    title, subtitle
        Plain text.
    parts
        HTML made by `cards`, `section`, `table` and `picture`.
    """
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{STYLE}</style>'
        f"<script>{get_plotlyjs()}</script></head><body><main>"
        f"<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>{''.join(parts)}</main></body></html>\n"
    )


def cards(values: Mapping[str, str]) -> str:
    """Show a few headline figures."""
    boxes = "".join(
        f'<div class="card"><div class="label">{escape(label)}</div><div class="value">{escape(value)}</div></div>'
        for label, value in values.items()
    )
    return f'<div class="cards">{boxes}</div>'


def section(heading: str, *parts: str, note: str = "") -> str:
    """Frame parts under a heading."""
    explained = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(heading)}</h2>{explained}{''.join(parts)}</section>"


def table(frame: pd.DataFrame, formats: Mapping[str, Format], caption: str, empty: str = "Nothing to show yet.") -> str:
    """Show a table; numbers are right-aligned, text is left-aligned.

    Parameters
    ----------
    frame
        The rows.
    formats
        Column to function that writes a value; columns without one are text. Other columns are left out only when
        they are not in ``formats``.
    caption
        What the table shows, with units.
    empty
        What to say when there is no row.
    """
    if frame.empty:
        return f'<p class="note">{escape(empty)}</p>'
    kind = {name: "" if pd.api.types.is_numeric_dtype(frame[name]) else "text" for name in formats}
    head = "".join(f'<th scope="col" class="{kind[name]}">{escape(name.replace("_", " "))}</th>' for name in formats)
    rows = []
    for record in frame[list(formats)].itertuples(index=False):
        cells = zip(formats, record, strict=True)
        rows.append("<tr>" + "".join(_cell(formats[name](value), kind[name]) for name, value in cells) + "</tr>")
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def picture(figure: go.Figure, name: str) -> str:
    """Embed a figure; its library is on the page once."""
    return figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config={"displaylogo": False, "responsive": True})


def commands(lines: Sequence[str]) -> str:
    """Show command lines to copy."""
    return f"<pre>{escape(chr(10).join(lines))}</pre>"


def _cell(text: str, kind: str) -> str:
    long = " long" if len(text) > 60 else ""
    return f'<td class="{kind}{long}">{escape(text)}</td>'
