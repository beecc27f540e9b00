"""The operator's page in Chromium, before a paper account whose session goes on at a fake Alpaca."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.helpers.paper_service import HOSTILE, NARROW, WIDE


def order_at_broker(paper, number):
    """Let the broker work on an order of this account."""
    paper.exchange.auto_fill = False
    name = f"paper-rehearsal-20250304-CCC-buy-{number}"
    body = {"symbol": "CCC", "qty": "10", "side": "buy", "type": "market", "time_in_force": "day"}
    paper.exchange.submit({**body, "client_order_id": name})
    assert [order.client_order_id for order in paper.exchange.open_orders()] == [name]


def resume(paper):
    """Make the account active again, as the terminal does."""
    paper.exchange.suspended = False
    paper.command("account", "resume")


def test_one_click_halts_and_the_broker_sees_the_cancel(paper, opened):
    order_at_broker(paper, 1)
    page = opened(paper.url)
    page.click("text=Halt paper-rehearsal")
    page.wait_for_selector("#outcome h2")
    assert "Halted" in page.inner_text("#outcome")
    assert "1 open orders were cancelled at the broker" in page.inner_text("#outcome")
    assert paper.exchange.open_orders() == []
    assert paper.exchange.suspended
    page.wait_for_selector("#pane-strip:has-text('halted on the page')")
    resume(paper)
    page.wait_for_selector("#pane-strip:has-text('active')")
    page.goto(f"{paper.url}/page/log")
    for words in ("halted on the page", "POST /page/halt"):
        page.wait_for_selector(f"main:has-text('{words}')")
    assert page.said == []


PAGES = {
    "/": ("Now", "Today", "Positions", "Net asset value", "Orders of 2025-03-04", "AAA", "filled"),
    "/page/models": ("Models", "not trained yet"),
    "/page/research": ("Research", "Start a job", "Evaluation of a factor"),
    "/page/jobs": ("Jobs",),
    "/page/log": ("Log",),
    "/page/accounts": ("All accounts", "paper-rehearsal", "Sums of one kind of money"),
    "/docs": ("Routes of quant-pipeline",),
}


@pytest.mark.parametrize(
    ("size", "scheme"),
    [pytest.param(WIDE, "light", id="wide"), pytest.param(NARROW, "dark", id="narrow", marks=pytest.mark.slow)],
)
def test_every_page_is_whole_silent_accessible_and_asks_no_other_host(paper, opened, size, scheme):
    page = opened(paper.url, size, scheme)
    for path, words in PAGES.items():
        page.goto(paper.url + path)
        for word in words:
            page.wait_for_selector(f"main:has-text('{word}')")
        for width in (NARROW, size):
            page.set_viewport_size(width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width["width"], path
        # A page that has waited for a loaded machine is grey for a moment.
        page.wait_for_selector("#stale", state="hidden")
        found = Axe().run(page).response["violations"]
        serious = [
            (each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")
        ]
        assert serious == [], path
    assert page.said == []
    assert {url for url in page.asked if not url.startswith(paper.url)} == set()


def test_every_number_says_of_when_it_is(paper, opened):
    page = opened(paper.url)
    for name in ("now", "today", "positions", "value"):
        assert page.inner_text(f"#{name} .pane-head .as-of"), name
    page.wait_for_selector("#now dl")
    assert page.locator("#now dl > div").count() == page.locator("#now dl > div .as-of").count() >= 8


def test_orders_show_decision_verdict_sent_and_fill(paper, opened):
    row = opened(paper.url).locator("#today tbody tr", has_text="AAA").inner_text()
    for words in ("buy", "100", "50.00", "approved", "UTC", "filled", "52.00", "best"):
        assert words in row


def test_the_page_is_used_by_keyboard_alone(paper, opened):
    page = opened(paper.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "halt"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_pane_that_cannot_be_drawn_stays_as_it_was_and_says_since_when(paper, opened):
    page = opened(paper.url)
    page.wait_for_selector("#positions tbody")
    file, journal = paper.market / "02_intermediate/instruments.parquet", paper.account / "live/journal.jsonl"
    whole = file.read_bytes()
    file.write_bytes(b"torn")
    # The live process has done something: panes are drawn again.
    journal.parent.mkdir(exist_ok=True)
    journal.write_text('{"at": "2025-03-04T15:00:00.000000Z", "event": "note", "what": "a torn table"}\n')
    page.wait_for_selector("#pane-positions .fault:has-text('Stale since')")
    stale = page.locator("#pane-positions .is-stale")
    assert stale.locator("tbody").first.is_visible()
    assert stale.evaluate("element => getComputedStyle(element).filter") == "grayscale(1)"
    file.write_bytes(whole)
    journal.unlink()
    page.wait_for_selector("#pane-positions .fault", state="detached")


def test_a_name_from_outside_is_text_and_nothing_else(paper, opened):
    page = opened(paper.url)
    page.locator("#positions", has_text=HOSTILE).wait_for()
    assert page.evaluate("window.hit") is None
    assert page.said == []


@pytest.mark.slow  # The halt above, of two pages.
def test_two_tabs_halt_at_once(paper, opened):
    order_at_broker(paper, 2)
    tabs = [opened(paper.url), opened(paper.url)]
    for tab in tabs:
        tab.click("button.halt", no_wait_after=True)
    for tab in tabs:
        tab.wait_for_selector("#outcome h2")
        assert "in part" not in tab.inner_text("#outcome h2")
        tab.wait_for_selector("#pane-strip:has-text('halted')")
    assert paper.exchange.open_orders() == []
    resume(paper)


def test_a_killed_service_is_noticed_and_its_return_too_without_a_reload(paper, opened):
    page = opened(paper.url, clock=True)
    page.evaluate("window.kept = true")
    paper.service.kill()
    page.clock.run_for(5_000)
    assert page.is_visible("#stale")
    assert "No answer from the service since 20" in page.inner_text("#stale")
    assert page.evaluate("getComputedStyle(document.querySelector('main')).filter") == "grayscale(1)"
    paper.service.start()
    page.wait_for_selector("#stale", state="hidden")
    assert page.evaluate("getComputedStyle(document.querySelector('main')).filter") == "none"
    assert page.evaluate("window.kept")
