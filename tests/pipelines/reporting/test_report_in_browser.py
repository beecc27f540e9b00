"""The page in a real browser: drawn completely, silent, without a network. Skipped where there is no Chromium."""

import pytest

from tests.helpers.browser import executable


@pytest.fixture(scope="module")
def chromium():
    program = executable()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, tmp_path):
    opened = []

    def run(html, **options):
        file = tmp_path / "report.html"
        file.write_text(html, encoding="utf-8")
        tab = chromium.new_page(**options)
        opened.append(tab)
        tab.said, tab.requested = [], []
        tab.on("console", lambda message: tab.said.append(message.text))
        tab.on("pageerror", lambda error: tab.said.append(str(error)))
        tab.on("dialog", lambda dialog: (tab.said.append("dialog"), dialog.dismiss()))
        tab.on("request", lambda request: tab.requested.append(request.url))
        tab.goto(file.as_uri())
        tab.wait_for_selector("html[data-drawn=yes]", timeout=60_000)
        return tab

    yield run
    for tab in opened:
        tab.close()


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_everything_is_drawn_in_silence_at_any_width(open_page, page, width):
    tab = open_page(page, viewport={"width": width, "height": 900})
    assert tab.said == []
    assert tab.requested == [tab.url]
    assert tab.locator("figure .main-svg").first.is_visible()
    assert tab.evaluate("[...document.querySelectorAll('.plot')].every(plot => plot.querySelector('.main-svg'))")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_first_day_is_drawn_in_silence(open_page, compose, empty_tables):
    assert open_page(compose(empty_tables), color_scheme="dark").said == []


def test_figures_follow_dark_surroundings(open_page, page):
    tab = open_page(page, color_scheme="dark")
    background = "document.querySelector('#drawdown .plot').layout.paper_bgcolor"
    assert tab.evaluate(background) == "#171d25"
    tab.click("#theme")
    assert tab.evaluate(background) == "#ffffff"
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(244, 245, 247)"


def test_the_value_axis_becomes_linear_on_demand(open_page, page):
    tab = open_page(page)
    tab.click("#net-asset-value [data-scale=linear]")
    assert tab.evaluate("document.querySelector('#net-asset-value .plot').layout.yaxis.type") == "linear"
    assert tab.get_attribute("#net-asset-value [data-scale=log]", "aria-pressed") == "false"


def test_names_from_data_run_nothing(open_page, compose, tables):
    hostile = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
    spoilt = {
        "orders": tables["orders"].assign(instrument=hostile, reason=hostile),
        "ic_series": tables["ic_series"].replace({"model": {"gru_alpha158": hostile}}),
    }
    tab = open_page(compose({**tables, **spoilt}))
    assert tab.said == []
    assert hostile in tab.inner_text("#orders")
