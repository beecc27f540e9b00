"""The contract of brokers, as tests to inherit; every shipped broker passes them.

    class TestMine(BrokerContract):
        def open_harness(self, folder):
            return MyHarness(folder)

pytest finds the inherited tests. The harness moves the far side of the broker, a test account or a fake server, through
the sessions of `contract_market`. docs/extending/broker.md is a complete example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeVar

import pandas as pd

from quant_pipeline.testing.contract_market import SESSIONS
from quant_pipeline.trading.broker_records import (
    CashActivity,
    CashKind,
    FillActivity,
    LastTrade,
    OrderRequest,
    OrderStatus,
    PositionActivity,
    PositionKind,
    TimeInForce,
)
from quant_pipeline.trading.brokers.adapter import BrokerAdapter
from quant_pipeline.trading.ports import (
    Broker,
    BrokerError,
    DuplicateOrderError,
    OrderNotCancelableError,
    OrderRejectedError,
    UnknownOrderError,
)

Refusal = TypeVar("Refusal", bound=BrokerError)


class BrokerHarness(Protocol):
    """A broker under test with its far side.

    The account is new: `contract_market.CASH`, nothing else, at the close of the first session. An order executes in
    the next session, wholly, at the price of `contract_market.PRICES` and without costs.
    """

    @property
    def adapter(self) -> BrokerAdapter:
        """The adapter as YAML would make it."""

    @property
    def keys(self) -> Mapping[str, str]:
        """The keys of the account."""

    def connect(self) -> Broker:
        """Connect the account, as a new process does; called several times."""

    def next_session(self) -> None:
        """Let the next session happen, with its corporate actions, and stop at its close."""

    def deposit(self, amount: str) -> None:
        """Bring cash into the account."""

    def stop(self) -> None:
        """End the far side."""


class BrokerContract:
    """What every broker must do."""

    harness: BrokerHarness
    broker: Broker

    def open_harness(self, folder: Path) -> BrokerHarness:
        """Return a harness with a new account; what it keeps in files belongs into the folder."""
        raise NotImplementedError

    def setup_method(self) -> None:
        """Open a new account before each test; pytest calls it."""
        self._folder = TemporaryDirectory()
        self.harness = self.open_harness(Path(self._folder.name))
        self.broker = self.harness.connect()

    def teardown_method(self) -> None:
        """End the account after each test; pytest calls it."""
        self.harness.stop()
        self._folder.cleanup()

    def test_the_adapter_states_prices_and_keys(self) -> None:
        """Name at least one price, and no key that the harness does not have."""
        adapter = self.harness.adapter
        assert adapter.capability.broker
        assert all(adapter.capability.times_in_force.values())
        assert adapter.capability.times_in_force
        assert set(adapter.key_names) == set(self.harness.keys)
        assert self.broker.capability == adapter.capability

    def test_keys_are_shown_nowhere(self) -> None:
        """Show no key in the adapter, in the broker, or in what it keeps."""
        shown = f"{self.harness.adapter!r} {self.broker!r} {getattr(self.broker, '__dict__', {})!r}"
        assert [name for name, key in self.harness.keys.items() if key in shown] == []

    def test_a_new_account_has_its_deposit_and_nothing_else(self) -> None:
        """State the deposit as cash, equity and buying power."""
        account = self.broker.account()
        assert (account.cash, account.equity, account.buying_power) == (10_000, 10_000, 10_000)
        assert account.account_number
        assert account.currency == "USD"
        assert not account.trading_blocked
        assert not account.suspended
        assert self.broker.positions() == ()
        assert self.broker.open_orders() == ()
        assert list(self.broker.activities()) == []

    def test_an_order_is_accepted_then_filled_in_the_next_session(self) -> None:
        """Accept an order, fill it, and hold the shares."""
        accepted = self.broker.submit(_order("one"))
        assert (accepted.status, accepted.filled_quantity) == (OrderStatus.ACCEPTED, 0)
        assert [waiting.client_order_id for waiting in self.broker.open_orders()] == ["one"]
        self.harness.next_session()
        filled = self._order("one")
        assert (filled.status, filled.filled_quantity, filled.average_fill_price) == (OrderStatus.FILLED, 10, 40)
        assert filled.broker_order_id == accepted.broker_order_id
        assert self.broker.open_orders() == ()
        (position,) = self.broker.positions()
        assert (position.instrument, position.quantity, position.available) == ("AAA", 10, 10)
        assert (position.average_entry_price, position.market_value) == (40, 400)
        account = self.broker.account()
        assert (account.cash, account.equity) == (9_600, 10_000)

    def test_the_equity_of_the_close_before_is_known(self) -> None:
        """State what the account was worth a session ago: limits on losses compare with it."""
        self.broker.submit(_order("one", instrument="BBB", quantity=20))
        self.harness.next_session()
        self.harness.next_session()
        account = self.broker.account()
        assert (account.last_equity, account.equity) == (10_000, 10_100)

    def test_every_amount_is_exact(self) -> None:
        """Use decimals, never binary fractions."""
        self.broker.submit(_order("one", quantity=7))
        self.harness.next_session()
        account = self.broker.account()
        amounts: list[Any] = [account.cash, account.equity, self._order("one").average_fill_price]
        amounts += [activity.price for activity in self.broker.activities() if isinstance(activity, FillActivity)]
        assert len(amounts) == 4
        assert all(isinstance(amount, Decimal) for amount in amounts)

    def test_a_client_order_id_is_taken_once_for_ever(self) -> None:
        """Refuse an order of a name that was used, whatever its terms and whenever it was used."""
        self.broker.submit(_order("one"))
        for _ in range(2):
            refused = _refusal(DuplicateOrderError, lambda: self.broker.submit(_order("one")))
            assert "one" in refused.message
            _refusal(DuplicateOrderError, lambda: self.broker.submit(_order("one", quantity=99)))
            self.harness.next_session()
        (position,) = self.broker.positions()
        assert position.quantity == 10
        assert len(list(self.broker.activities())) == 1

    def test_an_unknown_name_is_no_order(self) -> None:
        """Return None for it, and refuse to cancel it."""
        assert self.broker.order_by_client_id("never") is None
        assert "never" in _refusal(UnknownOrderError, lambda: self.broker.cancel("never")).message

    def test_an_impossible_order_is_rejected_and_was_never_there(self) -> None:
        """Reject an unknown instrument, a short sale, and quantities that cannot be executed."""
        for impossible in (
            _order("bad", instrument="NONE"),
            _order("bad", side="sell"),
            _order("bad", quantity=0),
            _order("bad", quantity=-5),
            _order("bad", quantity=Decimal("0.5"), time_in_force=TimeInForce.OPENING),
        ):
            refused = _refusal(OrderRejectedError, partial(self.broker.submit, impossible))
            assert "refuses order bad" in refused.message
            assert self.broker.order_by_client_id("bad") is None
            assert self.broker.open_orders() == ()

    def test_shares_are_promised_to_one_sale_only(self) -> None:
        """Count shares of open sales as not available."""
        self.broker.submit(_order("one"))
        self.harness.next_session()
        self.broker.submit(_order("two", side="sell", quantity=8))
        (position,) = self.broker.positions()
        assert (position.quantity, position.available) == (10, 2)
        _refusal(OrderRejectedError, lambda: self.broker.submit(_order("three", side="sell", quantity=3)))
        self.broker.submit(_order("four", side="sell", quantity=2))
        self.harness.next_session()
        assert self.broker.positions() == ()
        assert self.broker.account().cash == 10_000

    def test_a_cancelled_order_is_not_executed(self) -> None:
        """End it without a fill, once."""
        self.broker.submit(_order("one"))
        self.broker.cancel("one")
        self.harness.next_session()
        ended = self._order("one")
        assert (ended.status, ended.filled_quantity) == (OrderStatus.CANCELED, 0)
        assert self.broker.account().cash == 10_000
        _refusal(OrderNotCancelableError, lambda: self.broker.cancel("one"))

    def test_a_filled_order_cannot_be_cancelled(self) -> None:
        """Refuse, and leave it filled."""
        self.broker.submit(_order("one"))
        self.harness.next_session()
        _refusal(OrderNotCancelableError, lambda: self.broker.cancel("one"))
        assert self._order("one").status is OrderStatus.FILLED

    def test_a_fill_names_its_order_and_its_session(self) -> None:
        """Report the fill as an activity with the broker's name of the order."""
        sent = self.broker.submit(_order("one"))
        self.harness.next_session()
        (fill,) = self.broker.activities()
        assert isinstance(fill, FillActivity)
        assert fill.broker_order_id == sent.broker_order_id
        assert (fill.instrument, fill.side, fill.quantity, fill.price) == ("AAA", "buy", 10, 40)
        assert fill.date == SESSIONS[1]
        assert fill.cumulative_quantity == 10

    def test_the_cursor_divides_seen_from_new(self) -> None:
        """Report activities after an activity id, or from a date on, in the order of their ids."""
        self.broker.submit(_order("one"))
        self.harness.next_session()
        (first,) = self.broker.activities()
        self.broker.submit(_order("two", instrument="BBB", quantity=5))
        self.harness.next_session()
        (second,) = self.broker.activities(after=first.activity_id)
        assert isinstance(second, FillActivity)
        assert second.instrument == "BBB"
        assert first.activity_id < second.activity_id
        assert [activity.activity_id for activity in self.broker.activities()] == [
            first.activity_id,
            second.activity_id,
        ]
        late = self.broker.activities(since=SESSIONS[2])
        assert [activity.activity_id for activity in late] == [second.activity_id]
        assert list(self.broker.activities(after=second.activity_id)) == []

    def test_orders_can_be_listed_since_an_instant(self) -> None:
        """List orders that were submitted at the instant or after it, oldest first."""
        self.broker.submit(_order("one", quantity=1))
        self.harness.next_session()
        self.broker.submit(_order("two", quantity=1))
        both = self.broker.orders(SESSIONS[0].tz_localize("UTC"))
        assert [known.client_order_id for known in both] == ["one", "two"]
        late = self.broker.orders(self._order("two").submitted_at)
        assert [known.client_order_id for known in late] == ["two"]

    def test_a_deposit_is_cash_and_an_activity(self) -> None:
        """Report cash of the owner as a transfer."""
        self.harness.deposit("250.50")
        (deposit,) = self.broker.activities()
        assert isinstance(deposit, CashActivity)
        assert (deposit.kind, deposit.amount) == (CashKind.TRANSFER, Decimal("250.50"))
        assert self.broker.account().cash == Decimal("10250.50")

    def test_split_and_dividend_change_the_account_and_are_reported(self) -> None:
        """Report a split as shares and a dividend as cash."""
        self.broker.submit(_order("one", quantity=10))
        self.broker.submit(_order("two", instrument="BBB", quantity=30))
        for _ in range(2):
            self.harness.next_session()
        before = self.broker.account().equity
        seen = max(activity.activity_id for activity in self.broker.activities())
        self.harness.next_session()
        found = list(self.broker.activities(after=seen))
        (dividend,) = (activity for activity in found if isinstance(activity, CashActivity))
        # One record of the difference, or one of all old and one of all new shares.
        splits = [activity for activity in found if isinstance(activity, PositionActivity)]
        assert len(splits) + 1 == len(found)
        assert len({split.is_half for split in splits}) == 1
        assert len(splits) == 1 + splits[0].is_half
        assert {(split.instrument, split.kind, split.amount) for split in splits} == {("AAA", PositionKind.SPLIT, 0)}
        assert sum(split.quantity for split in splits) == 30
        assert (dividend.instrument, dividend.kind, dividend.amount) == ("BBB", CashKind.DIVIDEND, 15)
        held = {position.instrument: position for position in self.broker.positions()}
        assert (held["AAA"].quantity, held["AAA"].average_entry_price) == (40, 10)
        assert self.broker.account().equity == before + 15

    def test_a_sale_leaves_the_mean_cost_of_the_rest(self) -> None:
        """State the mean price that was paid."""
        for name, side, quantity in (("one", "buy", 10), ("two", "buy", 10), ("three", "sell", 5)):
            self.broker.submit(_order(name, instrument="BBB", side=side, quantity=quantity))
            self.harness.next_session()
        (position,) = self.broker.positions()
        assert (position.quantity, position.average_entry_price, position.market_value) == (15, Decimal("22.5"), 375)

    def test_activities_explain_all_cash_and_all_shares(self) -> None:
        """Conserve: the activities add up to exactly what the account has."""
        self.harness.deposit("100")
        self.broker.submit(_order("one", quantity=12))
        self.broker.submit(_order("two", instrument="BBB", quantity=30))
        self.harness.next_session()
        self.broker.submit(_order("three", side="sell", quantity=5))
        self.harness.next_session()
        self.harness.next_session()
        cash, shares = Decimal(10_000), dict[str, Decimal]()
        for activity in self.broker.activities():
            match activity:
                case FillActivity(instrument=name, side=side, quantity=quantity, price=price, cash=stated):
                    signed = quantity if side == "buy" else -quantity
                    cash += -signed * price if stated is None else stated
                    shares[name] = shares.get(name, Decimal(0)) + signed
                case PositionActivity(instrument=name, quantity=quantity, amount=amount):
                    cash += amount
                    shares[name] += quantity
                case CashActivity(amount=amount):
                    cash += amount
                case _:
                    raise AssertionError(f"{activity} explains nothing")
        assert cash == self.broker.account().cash
        assert shares == {position.instrument: position.quantity for position in self.broker.positions()}

    def test_a_new_process_finds_everything_again(self) -> None:
        """Keep nothing in the memory of a process."""
        self.broker.submit(_order("one"))
        self.harness.next_session()
        self.broker.submit(_order("two", quantity=1))
        again = self.harness.connect()
        assert again.account() == self.broker.account()
        assert again.positions() == self.broker.positions()
        assert again.open_orders() == self.broker.open_orders()
        assert list(again.activities()) == list(self.broker.activities())
        _refusal(DuplicateOrderError, lambda: again.submit(_order("two", quantity=1)))

    def test_a_suspended_account_takes_cancellations_but_no_orders(self) -> None:
        """Let the broker itself refuse orders, until it takes them again."""
        self.broker.submit(_order("one"))
        self.broker.suspend_trading(True)
        assert self.broker.account().suspended
        _refusal(OrderRejectedError, lambda: self.broker.submit(_order("two")))
        self.broker.cancel("one")
        self.broker.suspend_trading(False)
        self.broker.submit(_order("two"))
        assert [waiting.client_order_id for waiting in self.broker.open_orders()] == ["two"]

    def test_the_clock_is_in_utc_and_knows_the_next_session(self) -> None:
        """State the close of the first session, and the hours of the second."""
        clock = self.broker.clock()
        assert clock.now == pd.Timestamp("2025-01-02 21:00", tz="UTC")
        assert not clock.is_open
        assert clock.next_open == pd.Timestamp("2025-01-03 14:30", tz="UTC")
        assert clock.next_close == pd.Timestamp("2025-01-03 21:00", tz="UTC")

    def test_the_last_trade_of_a_closed_exchange_is_the_close(self) -> None:
        """Leave out what has no trade."""
        assert self.broker.last_trades([]) == {}
        self.harness.next_session()
        self.harness.next_session()
        close = pd.Timestamp("2025-01-06 21:00", tz="UTC")
        assert self.broker.last_trades(["AAA", "BBB", "NONE"]) == {
            "AAA": LastTrade(Decimal(40), close),
            "BBB": LastTrade(Decimal(25), close),
        }

    def test_an_asset_can_be_looked_up(self) -> None:
        """Return None for an instrument that the broker does not have."""
        asset = self.broker.asset("AAA")
        assert asset is not None
        assert (asset.instrument, asset.tradable, asset.shortable) == ("AAA", True, False)
        assert self.broker.asset("NONE") is None

    def _order(self, name: str) -> Any:
        order = self.broker.order_by_client_id(name)
        assert order is not None
        return order


def _order(
    name: str,
    instrument: str = "AAA",
    side: str = "buy",
    quantity: Decimal | int = 10,
    time_in_force: TimeInForce = TimeInForce.DAY,
) -> OrderRequest:
    return OrderRequest(name, instrument, side, Decimal(quantity), time_in_force=time_in_force)


def _refusal(kind: type[Refusal], request: Callable[[], object]) -> Refusal:
    """Make a request that has to be refused, and return the refusal."""
    try:
        request()
    except kind as refused:
        return refused
    raise AssertionError(f"it was not refused with {kind.__name__}")
