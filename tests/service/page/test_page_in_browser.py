"""The operator's page in Chromium, before a paper account whose session goes on at a fake Alpaca."""

import pytest

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


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_account_is_shown_without_a_message_of_the_console_and_without_another_host(paper, opened, size):
    page = opened(paper.url, size)
    page.wait_for_selector("#pulse:has-text('as of 2')")
    text = page.inner_text("main")
    for words in ("Net asset value", "Books and broker", "Lease to send", "Orders of 2025-03-04", "AAA", "filled"):
        assert words in text
    assert page.inner_text("#pane-strip").strip().endswith("active")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert page.said == []
    assert {url for url in page.asked if not url.startswith(paper.url)} == set()


def test_a_name_from_outside_is_text_and_nothing_else(paper, opened):
    page = opened(paper.url)
    assert HOSTILE in page.inner_text("#positions")
    assert page.evaluate("window.hit") is None
    assert page.said == []


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
    assert page.said == []


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
