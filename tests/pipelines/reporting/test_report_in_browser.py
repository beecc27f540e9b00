"""The page in a real browser: drawn completely, silent, without a network. Skipped where there is no Chromium."""

import pytest

from tests.helpers.browser import CLIPPED, MISDRAWN, PATIENCE
from tests.helpers.browser import chromium as running_chromium
from tests.helpers.representatives import representatives


@pytest.fixture(scope="module")
def chromium():
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def open_page(chromium, tmp_path):
    opened = []

    def run(html, **options):
        file = tmp_path / "report.html"
        file.write_text(html, encoding="utf-8")
        tab = chromium.new_page(**options)
        tab.set_default_timeout(PATIENCE)
        opened.append(tab)
        tab.said, tab.requested = [], []
        tab.on("console", lambda message: tab.said.append(message.text))
        tab.on("pageerror", lambda error: tab.said.append(str(error)))
        tab.on("dialog", lambda dialog: (tab.said.append("dialog"), dialog.dismiss()))
        tab.on("request", lambda request: tab.requested.append(request.url))
        tab.goto(file.as_uri())
        tab.wait_for_selector("html[data-drawn=yes]")
        return tab

    yield run
    for tab in opened:
        tab.close()


@pytest.mark.parametrize("width", representatives([1280, 768, 390, 360], {1280, 360}))
def test_everything_is_drawn_in_silence_and_nothing_is_cut_at_any_width(open_page, page, width):
    tab = open_page(page, viewport={"width": width, "height": 900})
    assert tab.said == []
    assert tab.requested == [tab.url], "nothing is fetched from outside"
    assert tab.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)") == []
    assert tab.locator("figure .main-svg").first.is_visible()
    assert tab.locator(".plot").count() >= 5
    assert tab.evaluate("[...document.querySelectorAll('.plot')].every(plot => plot.querySelector('.main-svg'))")
    assert tab.locator(".plot .failed").count() == 0
    assert tab.evaluate(MISDRAWN) == []
    assert tab.locator(".card").count() >= 4
    assert tab.locator(".card .value").evaluate_all(CLIPPED) == []
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


LINES = """
const lines = cell => {
  const style = getComputedStyle(cell);
  return (style.borderCollapse === "separate") * parseFloat(style.borderBottomWidth) + (style.boxShadow !== "none");
};
[...document.querySelectorAll("tbody tr:not(:last-child)")].map(row => new Set([...row.children].map(lines)).size)
"""


def test_one_line_is_below_each_row_also_below_the_first_column_that_stays_in_view(open_page, page):
    assert set(open_page(page).evaluate(LINES)) == {1}


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
