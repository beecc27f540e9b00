"""A real Chromium for the pages: the browser of the machine, driven by Playwright."""

import os
import shutil
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def executable():
    """Return the path of the browser; a machine without one skips, the gate of the project does not."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    if os.environ.get("CI") == "true":
        pytest.fail(f"none of {NAMES} is installed")
    return pytest.skip(f"none of {NAMES} is installed")


# Milliseconds that a page may take: far more than it needs on a loaded machine.
PATIENCE = 300_000


@contextmanager
def chromium():
    """Start the browser; pages wait for what they show as long as a loaded machine needs."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox"], timeout=PATIENCE)
        yield browser
        browser.close()


@contextmanager
def open_page(url, *, width=1280, height=900):
    """Open a page and yield it with the list of errors that the browser reports."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PATIENCE)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(url)
        yield page, errors


# Cards whose value is cut, and figures that show nothing, name two ticks alike, or none on an axis that is shown. Of
# dates plotly writes the year once, so that months repeat.
CLIPPED = "nodes => nodes.filter(node => node.scrollWidth > node.clientWidth + 1).map(node => node.textContent)"
MISDRAWN = """() => [...document.querySelectorAll('.plot')].filter(plot => {
  const shown = plot.querySelector('.main-svg');
  if (!shown) return true;
  const ticks = name => [...plot.querySelectorAll(`.${name} text`)].map(text => text.textContent);
  const layout = plot._fullLayout;
  const axes = Object.keys(layout).filter(name => /^[xy]axis\\d*$/.test(name)).map(name => layout[name]);
  return axes.filter(axis => axis.visible !== false).some(axis => {
    const named = ticks(axis._id + 'tick');
    return named.length === 0 || (axis.type !== 'date' && new Set(named).size < named.length);
  });
}).map(plot => plot.closest('figure').id)"""


def require_drawn(html, file, widths=(1280, 390)):
    """Open a page of `quant_pipeline.reports` at every width: drawn, silent, nothing cut, nothing beside the screen."""
    file.write_text(html, encoding="utf-8")
    with chromium() as browser:
        tab = browser.new_page(viewport={"width": widths[0], "height": 900})
        tab.set_default_timeout(PATIENCE)
        said = []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(file.as_uri())
        for width in widths:
            tab.set_viewport_size({"width": width, "height": 900})
            tab.wait_for_selector("html[data-drawn=yes]")
            # Figures follow the width of the window a moment later.
            tab.wait_for_function(
                "() => [...document.querySelectorAll('.plot')].every(p => p._fullLayout.width <= p.clientWidth + 1)"
            )
            assert tab.evaluate(MISDRAWN) == [], width
            assert tab.locator(".card .value").evaluate_all(CLIPPED) == [], width
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        assert said == []
