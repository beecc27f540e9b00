"""Building blocks of the page beside those of reports: panes, states in words and signs, bars, lines drawn as SVG.

Nothing here has a style of its own in the markup: the policy of the page lets only its style sheet have any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from quant_pipeline.reports.elements import Html
from quant_pipeline.reports.wording import MISSING

WIDTH, HEIGHT = 720.0, 260.0
"""Size of a chart in its own units; it is drawn as wide as there is room."""
SIGNS: Mapping[str, tuple[str, str]] = {
    "active": ("✓", "good"),
    "reducing": ("▼", "caution"),
    "halted": ("■", "bad"),
    "filled": ("✓", "good"),
    "approved": ("✓", "good"),
    "done": ("✓", "good"),
    "stable": ("✓", "good"),
    "denied": ("✕", "bad"),
    "rejected": ("✕", "bad"),
    "failed": ("✕", "bad"),
    "lost": ("✕", "bad"),
    "drifted": ("✕", "bad"),
    "expired": ("∅", "caution"),
    "canceled": ("∅", "caution"),
    "cancelled": ("∅", "caution"),
    "moved": ("▲", "caution"),
    "running": ("▶", "busy"),
    "waiting": ("…", "busy"),
    "planned": ("…", "busy"),
    "intended": ("…", "busy"),
    "submitting": ("→", "busy"),
    "accepted": ("→", "busy"),
    "partially_filled": ("◐", "busy"),
    "pending_cancel": ("→", "caution"),
}
"""Sign and tone of a state; the word stands beside them, so that nothing depends on seeing colours."""


class Fact(NamedTuple):
    """One value of a pane.

    Attributes
    ----------
    name, value
        What it is, and what it is now.
    as_of
        Of when the value is, in words.
    tone
        ``good``, ``caution``, ``bad`` or nothing.
    """

    name: str
    value: str
    as_of: str = ""
    tone: str = ""


class Line(NamedTuple):
    """A line of a chart: name, and values by date."""

    name: str
    values: pd.Series


def draw(template: str, **values: Any) -> Html:
    """Fill a template of the page."""
    return Html(_environment().get_template(template).render(values))


def pane(name: str, heading: str, as_of: str, *parts: str) -> Html:
    """Put parts under a heading that says of when they are."""
    return draw("pane.html", name=name, heading=heading, as_of=as_of, parts=parts)


def facts(items: Iterable[Fact]) -> Html:
    """Show values, each with its name and of when it is."""
    return draw("facts.html", items=list(items))


def state(word: str) -> Html:
    """Show a state: sign, word and tone; what follows the first word is shown too."""
    first, space, rest = word.partition(" ")
    sign, tone = SIGNS.get(first, ("·", ""))
    return Html('<span class="state {}"><b aria-hidden="true">{}</b> {}{}{}</span>').format(
        tone, sign, first.replace("_", " "), space, rest
    )


def bar(value: float, most: float, written: str) -> Html:
    """Show how much of a limit is used; what is beyond it says so."""
    if pd.isna(value) or most <= 0:
        return Html(MISSING)
    share = max(value / most, 0.0)
    tone = "bad" if share > 1 + 1e-9 else "caution" if share > 0.9 else "used"
    sign = " over" if tone == "bad" else ""
    return Html(
        '<svg class="bar {}" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="all" width="100" height="8"/><rect class="part" width="{:.1f}" height="8"/></svg> {}{}'
    ).format(tone, min(share, 1.0) * 100, written, sign)


def bar_of(used: tuple[float, float, str]) -> Html:
    """Show a cell of value, limit and text, see `bar`."""
    return bar(*used)


def link(address: str, text: str) -> Html:
    """Show a link within this service."""
    return Html('<a href="{}">{}</a>').format(address, text)


def instant(at: str | pd.Timestamp | None) -> str:
    """Write an instant as UTC."""
    if at is None:
        return MISSING
    found = pd.Timestamp(at)
    found = found.tz_localize("UTC") if found.tzinfo is None else found.tz_convert("UTC")
    return f"{found:%Y-%m-%d %H:%M:%S} UTC"


def span(seconds: float) -> str:
    """Write how long something lasts, in its two largest units."""
    minutes = int(abs(seconds) // 60)
    if minutes < 1:
        return "less than a minute"
    days, rest = divmod(minutes, 1440)
    hours, minutes = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h" if days < 30 else f"{days} days"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def chart(name: str, title: str, lines: Sequence[Line], write: Any) -> Html:
    """Draw lines over dates; each has a colour, a dash, and its name at the end.

    Parameters
    ----------
    name
        Identifier on the page.
    title
        What it shows, for those who cannot see it too.
    lines
        At least one value each.
    write
        Turns a value of the axis into text.
    """
    known = [Line(line.name, line.values.dropna()) for line in lines]
    known = [line for line in known if len(line.values)]
    if not known:
        return Html("")
    dates = sorted(set().union(*(line.values.index for line in known)))
    low = min(float(line.values.min()) for line in known)
    high = max(float(line.values.max()) for line in known)
    room = (high - low) * 0.06 or max(abs(high) * 0.01, 1e-9)
    low, high = low - room, high + room
    place = {date: index for index, date in enumerate(dates)}
    last = max(len(dates) - 1, 1)

    def point(date: Any, value: float) -> tuple[float, float]:
        return 4 + place[date] / last * (WIDTH - 8), HEIGHT - (value - low) / (high - low) * HEIGHT

    drawn = []
    for number, line in enumerate(known):
        points = [point(date, float(value)) for date, value in line.values.items()]
        drawn.append(
            {
                "name": line.name,
                "number": number % 4,
                "points": " ".join(f"{x:.1f},{y:.1f}" for x, y in points),
                "end": points[-1],
                "last": f"{write(float(line.values.iloc[-1]))}{_until(line, dates[-1])}",
                "dot": len(points) == 1,
            }
        )
    ticks = [(HEIGHT - share * HEIGHT, write(low + share * (high - low))) for share in (0.06, 0.5, 0.94)]
    ends = (f"{pd.Timestamp(dates[0]):%Y-%m-%d}", f"{pd.Timestamp(dates[-1]):%Y-%m-%d}")
    return draw("chart.html", name=name, title=title, lines=drawn, ticks=ticks, ends=ends, width=WIDTH, height=HEIGHT)


def _until(line: Line, newest: Any) -> str:
    """Say when a line ends before the others do."""
    last = line.values.index[-1]
    return "" if last == newest else f" on {pd.Timestamp(last):%Y-%m-%d}"


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("quant_pipeline.service.page"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def markup(text: str) -> Markup:
    """Mark a text that this package has drawn as markup."""
    return Markup(text)  # noqa: S704 - it was escaped when it was drawn
