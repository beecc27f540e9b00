"""Take the pictures of the guides again: the operator's page and the report of the demo, in the browser of the machine.

``make demo``, then ``python tools/page_pictures.py``; look at every picture before it is kept. The operator's page is
that of a paper account at an invented broker, in the middle of a session.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parents[1]
IMAGES = PROJECT / "docs" / "images"
REPORTS = PROJECT / "data" / "accounts" / "sim" / "08_reporting"
REPORT_SIZE = {"width": 1240, "height": 1150}


def main() -> None:
    """Take all pictures."""
    # The helpers of the tests know how to start a service and a browser.
    sys.path.insert(0, str(PROJECT))
    from tests.helpers.browser import chromium
    from tests.helpers.paper_service import NARROW, WIDE, pages_of, paper_service

    with chromium() as browser, pages_of(browser) as open_page:
        with tempfile.TemporaryDirectory() as folder, paper_service(PROJECT, Path(folder) / "project") as paper:
            for name, size, scheme in (("operator-page", WIDE, "light"), ("operator-page-phone", NARROW, "dark")):
                page = open_page(paper.url, size, scheme)
                page.wait_for_selector("main:has-text('Orders of 2025-03-04')")
                # A page that has waited for a loaded machine is grey for a moment.
                page.wait_for_selector("#stale", state="hidden")
                page.screenshot(path=IMAGES / f"{name}.png")
        newest = max(REPORTS.glob("*/report.html"), default=None)
        if newest is None:
            raise SystemExit(f"there is no report in {REPORTS}; run `make demo` first")
        page = open_page(newest.as_uri(), REPORT_SIZE)
        page.wait_for_selector("html[data-drawn=yes]")
        page.screenshot(path=IMAGES / "report.png")


if __name__ == "__main__":
    main()
