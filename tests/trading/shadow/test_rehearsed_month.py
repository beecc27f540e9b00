"""A month of a paper account at a fake Alpaca: what was scripted to go wrong is found, each cause with its amount."""

from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.testing.fake_alpaca import (
    API_KEY,
    SECRET_KEY,
    ExchangeHours,
    FakeAlpaca,
    FakeExchange,
    bookings,
)
from quant_pipeline.testing.fake_alpaca.days import advance
from quant_pipeline.testing.fake_alpaca.script import Script
from quant_pipeline.testing.fake_alpaca.tape import MarketTape
from quant_pipeline.testing.live_rehearsal.desk import LIMITS, RULES
from quant_pipeline.trading.brokers.adapter import NO_MARKET, Exchange
from quant_pipeline.trading.brokers.gateway import DeskRules, Gateway
from quant_pipeline.trading.ledger.events import EventKind, Order
from quant_pipeline.trading.ledger.profit_parts import PARTS as PROFIT_PARTS
from quant_pipeline.trading.ledger.profit_parts import profit_parts
from quant_pipeline.trading.ledger.session_effects import walk_effects
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.closing import close_books
from quant_pipeline.trading.orders.desk import trading_state_event
from quant_pipeline.trading.orders.execution import execute, judge, recover, verdict_events
from quant_pipeline.trading.orders.plans import record_plan
from quant_pipeline.trading.orders.reconciliation import open_books
from quant_pipeline.trading.orders.risk_view import InstrumentView, TradingState
from quant_pipeline.trading.shadow.causes import DecidedAgain, compare_session
from quant_pipeline.trading.shadow.shortfall import PARTS, shortfall_table
from tests.helpers.four_days import actions_table, orders_table

CALENDAR = TradingCalendar.of("XNYS", "2025-03-03", "2025-03-31")
DAYS = CALENDAR.sessions
AAA, BBB, CCC = "AAA", "BBB", "CCC"
# By session: what is planned for it. Every name closes half a dollar above its open.
PLANS = {day: [(AAA, "buy", 20)] if place % 2 else [(AAA, "sell", 10)] for place, day in enumerate(DAYS) if place >= 2}
SLIPPED, REFUSED, PARTLY, LATE, BY_HAND, REVISED, HALTED, DELAYED, FEE, EX, PAID = DAYS[
    [3, 5, 7, 8, 9, 11, 13, 15, 17, 18, 20]
]
PLANS |= {REFUSED: [(BBB, "buy", 10)], PARTLY: [(CCC, "buy", 10)]}
UP = Decimal("0.5")


def bars():
    rows = []
    for place, day in enumerate(DAYS):
        for name, price in {AAA: 50.0, BBB: 20.0, CCC: 8.0}.items():
            opened = price + 0.25 * place
            rows.append((day, name, opened, opened + 0.6, opened - 0.1, opened + 0.5, 1_000_000.0))
    table = pd.DataFrame(rows, columns=["date", "instrument", "open", "high", "low", "close", "volume"])
    return table.astype({"instrument": "str"})


def scripts(day, prices):
    """What the orders of a session meet."""
    orders = {
        SLIPPED: {"parts": ["1"], "prices": [str(prices[AAA] + Decimal("0.10"))]},
        REFUSED: {"refuse": "not_tradable"},
        PARTLY: {"parts": ["0.4"], "ending": "canceled"},
    }
    return Script.model_validate({"orders": [orders[day]] if day in orders else []})


class Month:
    """The account, session by session: the open, the orders, the close, the plan of the next session."""

    def __init__(self, folder):
        self.tape = MarketTape(bars(), actions_table())
        self.exchange = FakeExchange(
            100_000, self.tape.prices_at(DAYS[0], False), hours=ExchangeHours("2025-03-03 14:00")
        )
        self.server, self.file = FakeAlpaca(self.exchange), folder / "ledger.sqlite"

    def desk(self, session):
        keys = {"api_key": API_KEY, "secret_key": SECRET_KEY}
        parameters = {"url": self.server.url, "read_pause_seconds": 0.01, "requests_a_minute": 100_000}
        gateway = Gateway("alpaca", parameters, str(self.file), self.file.with_name("STOP"), keys)
        return gateway.open(session, DeskRules("paper", LIMITS, RULES), NO_MARKET)

    @property
    def events(self):
        return Ledger.at(self.file).events()

    def run(self):
        with self.server:
            advance(self.exchange, self.tape, "2025-03-03 14:45")
            self.exchange.move(AAA, Decimal(200), Decimal(50))
            with self.desk(DAYS[0]) as desk:
                open_books(desk)
            for place, day in enumerate(DAYS):
                opens, closes = CALENDAR.hours(day)
                advance(self.exchange, self.tape, opens + pd.Timedelta(minutes=5))
                if day in PLANS:
                    self.trade(day)
                self.happen(day)
                advance(self.exchange, self.tape, closes + pd.Timedelta(minutes=5))
                with self.desk(day) as desk:
                    assert close_books(desk) == ()
                    following = DAYS[place + 1] if place + 1 < len(DAYS) else None
                    if following in PLANS:
                        self.plan(desk, day, following)

    def plan(self, desk, day, following):
        close = dict(self.tape.prices_at(day, True))
        rows = [(*order, float(close[order[0]]), "by rule") for order in PLANS[following]]
        desk.journal.append(
            record_plan(desk.journal.ledger.events(), orders_table(*rows), day, following, None, "open")
        )
        if following == HALTED:
            self.change(desk, day, TradingState.HALTED)

    def change(self, desk, day, state):
        changes = desk.journal.book.state_changes
        desk.journal.append([trading_state_event(day, changes, state, "PERSON", "rehearsed")])

    def trade(self, day):
        prices = self.tape.prices_at(day, False)
        self.exchange.director.play(scripts(day, prices))
        if day == DELAYED:
            self.exchange.prices[AAA] += Decimal("0.05")
        views = {name: InstrumentView(price, 0, Decimal(10**9), name, True, True) for name, price in prices.items()}
        with self.desk(day) as desk:
            recover(desk)
            desk.journal.append(verdict_events(judge(desk, views, 0), f"{day:%Y-%m-%d}", {"data": "rehearsed"}))
            execute(desk, views, 0)
            if day == HALTED:
                self.change(desk, day, TradingState.ACTIVE)

    def happen(self, day):
        """Let happen what no order asks for."""
        if day == LATE:
            late = next(o for o in self.exchange.orders.values() if o.symbol == CCC)
            bookings.fill_late(self.exchange, late.client_order_id, "6", str(self.exchange.prices[CCC]))
        if day == BY_HAND:
            bookings.trade_by_hand(self.exchange, "sell", AAA, "5", self.exchange.prices[AAA])
        if day == FEE:
            bookings.book_cash(self.exchange, "FEE", "-1.50")
        if day == PAID:
            bookings.pay_dividend(self.exchange, AAA, "0.20")
        if day == DAYS[DAYS.get_loc(BY_HAND) + 1]:
            with self.desk(day) as desk:
                self.change(desk, day, TradingState.ACTIVE)


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    month = Month(tmp_path_factory.mktemp("month"))
    month.run()
    return month


@pytest.fixture(scope="module")
def compared(month):
    actions = actions_table((EX, AAA, "cash_dividend", 0.20))
    exchange = Exchange(bars(), actions, DAYS, MarketRules(), CostRules())
    market = TradingMarket.from_bars(bars(), actions, DAYS, MarketRules())
    wider = DecidedAgain((Order("", AAA, "buy", 50, "0", "of the revised bar"),), same_inputs=False)
    return {
        effects.session: compare_session(
            effects, month.events, exchange, False, wider if effects.session == REVISED else None
        )
        for effects in walk_effects(month.events, market, DAYS[2], DAYS[-1])
    }


def held(month, day):
    return (
        sum(
            (Decimal(e.payload["quantity"]) * (1 if e.payload["side"] == "buy" else -1))
            for e in month.events
            if e.kind is EventKind.FILL and e.payload["instrument"] == AAA and e.session < day
        )
        + 200
    )


def test_every_cause_is_found_with_its_amount_and_nothing_differs_elsewhere(month, compared):
    shares = held(month, EX)
    expected = {
        SLIPPED: {"impact": Decimal("2.00")},
        REFUSED: {"unfilled": 10 * UP},
        PARTLY: {"unfilled": 6 * UP},
        LATE: {"delay": -6 * UP},
        BY_HAND: {"operator_actions": 5 * UP},
        REVISED: {"data_revisions": 30 * UP},
        HALTED: {"operator_actions": 20 * UP},
        DELAYED: {"delay": 20 * Decimal("0.05")},
        FEE: {"fees": Decimal("1.50")},
        EX: {"corporate_actions": shares * Decimal("0.20")},
        # Ten shares are sold before it is paid.
        PAID: {"corporate_actions": -(held(month, PAID) - 10) * Decimal("0.20")},
    }
    found = {
        day: {cause: amount for cause, amount in each.by_cause().items() if amount} for day, each in compared.items()
    }
    assert {day: causes for day, causes in found.items() if causes} == expected
    assert len(found) - len(expected) >= 8
    for each in compared.values():
        assert sum(each.by_cause().values()) == each.difference


def test_parts_of_every_session_sum_to_the_change_of_the_ledger(month):
    market = TradingMarket.from_bars(bars(), actions_table(), DAYS, MarketRules())
    sessions, holdings = profit_parts(walk_effects(month.events, market, DAYS[0], DAYS[-1]))
    total = sessions["flow"] + sessions[list(PROFIT_PARTS)].sum(axis=1)
    assert (total - sessions["change"]).abs().max() < 1e-9
    assert sessions["change"].sum() == pytest.approx(float(month.exchange.equity()), abs=1e-9)
    # The shares that were brought in at 50.00 closed at 50.50.
    assert sessions["other"].tolist() == [100.0] + [0.0] * (len(DAYS) - 1)
    assert holdings["profit"].sum() == pytest.approx(sessions["holdings"].sum(), abs=1e-9)


def test_differences_say_what_happened(compared):
    said = {day: each.differences[0].detail for day, each in compared.items() if each.differences}
    assert "buy 0 of 10: rejected: 42210000 Alpaca refuses order" in said[REFUSED]
    assert "buy 4 of 10: canceled" in said[PARTLY]
    assert "of an order of an earlier session" in said[LATE]
    assert "outside of every plan" in said[BY_HAND]
    assert "TRADING_HALTED" in said[HALTED]
    assert "buy 50 instead of 20" in said[REVISED]


def test_shortfall_of_all_orders_sums_to_paper_portfolio_less_account(compared):
    table = shortfall_table(list(compared.values()), bars(), actions_table((EX, AAA, "cash_dividend", 0.20)))
    assert (table[[*PARTS]].sum(axis=1) - table["shortfall"]).abs().max() < 1e-9
    sign = table["side"].map({"buy": 1, "sell": -1})
    paper = (sign * table["requested"] * (table["close"] - table["decision_price"])).sum()
    account = sum(float(outcome.profit) for each in compared.values() for outcome in each.orders.outcomes.values())
    assert table["shortfall"].sum() == pytest.approx(paper - account, abs=1e-9)
    delayed = table[table["date"] == DELAYED].iloc[0]
    assert delayed["arrival_price"] == pytest.approx(delayed["market_price"] + 0.05)
    assert pd.Timestamp(delayed["at"]).tz_convert("America/New_York").hour == 9
