"""Emergencies at a broker of whose records one cannot be read: they act on all the others and name that one."""

from decimal import Decimal

import pytest

from quant_pipeline.common.exit_status import ExitStatus
from quant_pipeline.testing.fake_alpaca import exchange as fake
from quant_pipeline.testing.fake_alpaca import routes
from tests.helpers.broker_account import order, pin, statuses

OURS, BY_HAND = "paper-rehearsal-20250304-CCC-buy-0", "by-hand"


@pytest.fixture
def garble(monkeypatch):
    """Let the fake write one of its records with other values."""

    def garble(owner, is_meant, wrong):
        as_it_is = owner.as_json

        def as_json(self, *arguments):
            row = as_it_is(self, *arguments)
            return {**row, **wrong} if is_meant(row) else row

        monkeypatch.setattr(owner, "as_json", as_json)

    return garble


@pytest.mark.parametrize("wrong", [{"qty": "NaN"}, {"side": "flat"}, {"avg_entry_price": None}])
def test_flatten_sells_the_others_and_names_a_position_that_cannot_be_read(run, exchange, garble, wrong):
    garble(fake.FakePosition, lambda row: row["symbol"] == "AAA", wrong)
    exchange.auto_fill = True
    said = run("flatten", "--yes", fails=ExitStatus.INCOMPLETE)
    assert "sold 4 BBB at 20.0000" in said
    assert "an unknown number of AAA: its record cannot be read, " in said
    assert {name: held.quantity for name, held in exchange.positions.items()} == {"AAA": Decimal("10.5")}


def test_flatten_sells_the_others_when_the_broker_does_not_describe_an_asset(run, exchange, monkeypatch):
    described = routes.asset_json
    wrong = {"symbol": "AAA"}
    monkeypatch.setattr(routes, "asset_json", lambda ex, name: wrong if name == "AAA" else described(ex, name))
    exchange.auto_fill = True
    said = run("flatten", "--yes", fails=ExitStatus.INCOMPLETE)
    assert "sold 4 BBB at 20.0000" in said
    assert "still holds 1 positions: 10.5 AAA: NOT_TRADABLE" in said


def test_an_order_in_several_options_that_brought_money_hinders_nothing(run, exchange, garble):
    # An order of class `mleg` has no symbol, and a negative price when it has brought money.
    spread = {"symbol": "", "side": "", "order_class": "mleg", "filled_qty": "1", "filled_avg_price": "-0.35"}
    order(exchange, OURS)
    order(exchange, BY_HAND)
    garble(type(exchange.by_client_id[OURS]), lambda row: row["client_order_id"] == BY_HAND, spread)
    assert "1 open orders were cancelled" in run("cancel")
    assert statuses(exchange) == {OURS: "canceled", BY_HAND: "accepted"}


@pytest.mark.parametrize("command", ["cancel", "halt"])
def test_orders_are_cancelled_beside_one_that_cannot_be_read_and_that_one_is_named(run, exchange, garble, command):
    order(exchange, OURS)
    order(exchange, BY_HAND)
    garble(type(exchange.by_client_id[OURS]), lambda row: row["client_order_id"] == BY_HAND, {"filled_qty": None})
    said = run(command, fails=ExitStatus.INCOMPLETE if command == "cancel" else True)
    assert "by-hand: its record cannot be read, " in said
    assert statuses(exchange) == {OURS: "canceled", BY_HAND: "accepted"}


@pytest.mark.parametrize(
    "wrong", [{"equity": "NaN"}, {"daytrade_count": "three"}, {"cash": None}, {"multiplier": "four"}]
)
def test_flatten_sells_although_the_account_states_what_cannot_be_read(run, exchange, monkeypatch, wrong):
    stated = routes.account_json
    monkeypatch.setattr(routes, "account_json", lambda *arguments: {**stated(*arguments), **wrong})
    exchange.auto_fill = True
    said = run("flatten", "--yes", fails=ExitStatus.ATTENTION)
    assert next(iter(wrong)) in said
    assert "everything is sold" in said
    assert exchange.positions == {}


def test_flatten_of_a_pinned_account_sells_nothing_while_its_number_is_unknown(run, exchange, project, monkeypatch):
    pin(project)
    stated = routes.account_json
    monkeypatch.setattr(routes, "account_json", lambda *arguments: {**stated(*arguments), "account_number": ""})
    exchange.auto_fill = True
    said = run("flatten", "--yes", env="live", input="PA3FAKE00001\n" * 2, fails=True)
    assert "open an account without a number, not PA3FAKE00001; nothing was sold" in said
    assert len(exchange.positions) == 2


def test_orders_are_cancelled_while_the_clock_of_the_broker_cannot_be_read(run, exchange, monkeypatch):
    order(exchange, OURS)
    monkeypatch.setattr(type(exchange.hours), "clock_json", lambda _: {"timestamp": None})
    assert "1 open orders were cancelled" in run("halt")
    assert statuses(exchange) == {OURS: "canceled"}
