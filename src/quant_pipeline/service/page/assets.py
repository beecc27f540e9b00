"""Style, script and sign of the page: named by their content, so that browsers keep them for ever."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from quant_pipeline.reports import theme
from quant_pipeline.reports.page import STYLE, style_colours

_FOLDER = files(__package__) / "assets"
KINDS: Final = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class Asset(NamedTuple):
    """A file of the page: kind, content as gzip, and address."""

    kind: str
    packed: bytes
    address: str


@cache
def asset(name: str) -> Asset:
    """Return a file of the page."""
    text = (_FOLDER / name).read_text(encoding="utf-8")
    if name == "page.css":
        text = "\n".join((style_colours(), _series(), STYLE, text))
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return Asset(KINDS[name], gzip.compress(text.encode(), mtime=0), f"/page/assets/{digest}/{name}")


def addresses() -> dict[str, str]:
    """Return the address of every file by its name."""
    return {name: asset(name).address for name in KINDS}


def _series() -> str:
    """Write the colours of lines, which differ for colour-blind eyes; each has a dash of its own besides."""
    light, dark = (
        "".join(f"--series-{number}:{shade[place]};" for number, shade in enumerate(theme.SERIES)) for place in (0, 1)
    )
    return (
        f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{ {dark} }} }}\n"
        f":root[data-theme=dark] {{ {dark} }}"
    )
