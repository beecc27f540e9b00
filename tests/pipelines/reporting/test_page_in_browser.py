"""The report as Chromium shows it."""

import pytest

from tests.helpers.browser import open_page

CLIPPED = "nodes => nodes.filter(node => node.scrollWidth > node.clientWidth + 1).map(node => node.textContent)"


@pytest.fixture(scope="module")
def url(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


def test_every_plot_is_drawn_without_an_error(url):
    with open_page(url) as (page, errors):
        plots = page.locator(".plot")
        for place in range(plots.count()):
            plots.nth(place).scroll_into_view_if_needed()
            plots.nth(place).locator(".main-svg").first.wait_for(timeout=20_000)
        assert plots.count() >= 5
        assert page.locator(".plot .failed").count() == 0
        assert errors == []


def test_nothing_is_fetched_from_outside(url):
    with open_page(url) as (page, _):
        fetched = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
        assert [name for name in fetched if name.startswith("http")] == []


@pytest.mark.parametrize("width", [1280, 800, 390])
def test_no_headline_is_cut_and_the_page_does_not_scroll_sideways(url, width):
    with open_page(url, width=width) as (page, _):
        assert page.locator(".card").count() >= 4
        assert page.locator(".card .value").evaluate_all(CLIPPED) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_theme_can_be_changed(url):
    with open_page(url) as (page, errors):
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.locator("#theme").click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
        assert errors == []
