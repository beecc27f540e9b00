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
