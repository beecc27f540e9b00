"""Random sessions: whatever happens to an account, its difference to the shadow has causes, and no others.

The parts of a comparison sum to its difference by construction: what no cause explains is called unexplained. So it is
that part which has to be nothing, and every cause has to be missing where nothing happened that could be it.
"""

from decimal import Decimal

import pandas as pd
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.money import split_terms, value_in_cents
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.simulated.bookkeeping import book_sessions
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.bookkeeping import closing_event
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.session_effects import walk_effects
from quant_pipeline.trading.orders.desk import trading_state_event
from quant_pipeline.trading.orders.plans import record_plan
from quant_pipeline.trading.orders.risk_view import TradingState
from quant_pipeline.trading.shadow.causes import compare_session
from quant_pipeline.trading.shadow.shortfall import PARTS, shortfall_table
from tests.helpers.four_days import actions_table, entries, orders_table, statement
from tests.helpers.properties import examples

DAYS = pd.bdate_range("2025-01-06", periods=5)
NAMES = ["AAA", "BBB"]
CENTS = st.integers(1, 5_000).map(lambda cents: Decimal(cents) / 100)
SHARES = st.integers(1, 60)
SIDES = st.sampled_from(["buy", "sell"])
ORDERS = st.dictionaries(st.sampled_from(NAMES), st.tuples(SIDES, SHARES), max_size=2)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(NAMES), st.just("split"), st.sampled_from([2.0, 3.0, 0.5, 1.5])),
        st.tuples(st.sampled_from(NAMES), st.just("cash_dividend"), st.sampled_from([0.37, 0.115, 1.0])),
    ),
    max_size=2,
    unique_by=lambda action: action[:2],
)


def market_of(prices, actions, costs):
    """Bars of two instruments that open and close at prices in cents, with corporate actions and costs."""
    rows = []
    for place, (day, name) in enumerate((day, name) for day in DAYS for name in NAMES):
        first, last = prices[2 * place] / 100, prices[2 * place + 1] / 100
        rows.append((day, name, first, max(first, last), min(first, last), last, 1_000_000.0))
    bars = pd.DataFrame(rows, columns=["date", "instrument", "open", "high", "low", "close", "volume"])
    return bars.astype({"instrument": "str"}), actions_table(*actions), costs


@st.composite
def markets(draw):
    """Draw prices, corporate actions and costs."""
    prices = draw(st.lists(st.integers(500, 9_000), min_size=20, max_size=20))
    actions = [(day, *action) for day in DAYS[1:] for action in draw(ACTIONS)]
    rates = st.sampled_from([0.0, 0.001, 0.0037])
    return market_of(prices, actions, CostRules(buy_rate=draw(rates), sell_rate=draw(rates), half_spread=draw(rates)))


def fixed_market():
    """A market with a dividend and a split, in which every price is another one."""
    actions = [(DAYS[2], "AAA", "cash_dividend", 0.37), (DAYS[3], "AAA", "split", 2.0)]
    return market_of(range(1_000, 3_000, 100), actions, CostRules(buy_rate=0.001, half_spread=0.0037))


def compared(events, market, is_simulated):
    """Compare every session after the first; whatever differs sums up, and nothing is left without a cause."""
    bars, actions, costs = market
    exchange = Exchange(bars, actions, DAYS, MarketRules(), costs)
    whole = TradingMarket.from_bars(bars, actions, DAYS, MarketRules())
    sessions = [
        compare_session(effects, events, exchange, is_simulated)
        for effects in walk_effects(events, whole, DAYS[1], DAYS[-1])
    ]
    assert [each.session for each in sessions] == list(DAYS[1:])
    for each in sessions:
        assert each.by_cause()["unexplained"] == 0
        assert sum(each.by_cause().values()) == each.difference
    table = shortfall_table(sessions, bars, actions)
    assert (table[[*PARTS]].sum(axis=1) - table["shortfall"]).abs().max() < 1e-9 or table.empty
    return sessions


def of(sessions):
    return [{cause for cause, amount in each.by_cause().items() if amount} for each in sessions]


def planned(events, bars, day, following, orders):
    closes = bars[bars["date"] == day].set_index("instrument")["close"]
    rows = [(name, side, quantity, closes[name], "drawn") for name, (side, quantity) in orders.items()]
    return record_plan(events, orders_table(*rows), day, following, None, "open")


BOOKED = {
    "deposit": lambda amount: f"deposit,,,,,,{amount}",
    "fee": lambda amount: f"fee,,,,,,-{amount}",
    "transfer": lambda amount: f"transfer,BBB,,7,{amount},,",
}
STEPS = st.tuples(ORDERS, st.lists(st.tuples(st.sampled_from([*BOOKED]), CENTS), max_size=2), st.booleans())


@given(markets(), st.lists(STEPS, min_size=4, max_size=4))
@settings(max_examples=examples(40))
def test_simulated_account_differs_by_what_statements_and_the_operator_do_and_by_nothing_else(market, steps):
    bars, actions, costs = market
    events, allowed = (), []
    for place, (day, (orders, rows, halts)) in enumerate(zip(DAYS, [*steps, ({}, [], False)], strict=True)):
        known, acted = bars[bars["date"] <= day], actions[actions["date"] <= day]
        exchange = Exchange(known, acted, DAYS[: place + 1], MarketRules(), costs)
        lines = [f"{day:%Y-%m-%d},{BOOKED[kind](amount)}" for kind, amount in rows] if place else []
        file = entries(statement(*lines, name=f"{place}.csv")) if lines else ()
        events = (*events, *book_sessions(events, "sim", 5_000.0, exchange, file))
        allowed.append({"fees"} & {f"{kind}s" for kind, _ in rows} | ({"operator_actions"} if rows or halts else set()))
        state = TradingState.HALTED if halts else TradingState.ACTIVE
        events = (*events, trading_state_event(day, place, state, "PERSON", "drawn"))
        if place < 4:
            events = (*events, *planned(events, bars, day, DAYS[place + 1], orders))
    halted_before = [{"operator_actions"} if halts else set() for _, _, halts in steps]
    for found, booked, halted in zip(of(compared(events, market, True)), allowed[1:], halted_before, strict=True):
        assert found <= booked | halted


class Broker:
    """An account at a broker that fills, refuses, books late and corrects, as it is drawn."""

    def __init__(self, market):
        self.bars, self.actions, _ = market
        self.market = TradingMarket.from_bars(self.bars, self.actions, DAYS, MarketRules())
        self.state, self.events, self.day = AccountState(), [], DAYS[0]
        self.missed, self.causes, self.owed = [], {day: set() for day in DAYS}, []
        self.write(EventKind.ACCOUNT_OPENED, account="real", cash="50000")
        self.close()

    def write(self, kind, *causes, **facts):
        """Write an event that the books can take, and what it may cause."""
        event = Event(self.day, kind, f"{kind}:{len(self.events)}", facts)
        trial = self.state.fork()
        try:
            trial.apply(event)
        except AccountError:
            return False
        self.state = trial
        self.events.append(event)
        self.causes[self.day] |= set(causes)
        return True

    def close(self):
        event = closing_event(self.state, self.market, self.day)
        self.state.apply(event)
        self.events.append(event)

    def price(self, name, column):
        rows = self.bars[(self.bars["date"] == self.day) & (self.bars["instrument"] == name)]
        return Decimal(str(rows[column].item()))

    def fill(self, order_id, name, side, quantity, extra, fee, *causes, **more):
        price = str(self.price(name, "open") + extra)
        facts = {"client_order_id": order_id, "instrument": name, "side": side, "quantity": str(quantity)}
        return self.write(EventKind.FILL, *causes, **facts, price=price, fee=str(fee), **more)

    def execute(self, outcome, extra, fee):
        """Let the orders of the session meet what is drawn."""
        plans = [e for e in self.events if e.kind is EventKind.PLAN_RECORDED]
        for order in plans[-1].payload["orders"] if plans else ():
            name, side, order_id = order["instrument"], order["side"], order["client_order_id"]
            new, old = self.ratio(name)
            whole = Decimal(order["quantity"]) * new // old
            part = {"whole": whole, "part": whole // 2}.get(outcome, Decimal(0))
            self.causes[self.day] |= {"unfilled", "impact", "fees", "delay"}
            if outcome == "sent":
                facts = {"order": order, "last_trade": str(self.price(name, "open") + extra)}
                self.write(EventKind.ORDER_SUBMITTING, client_order_id=order_id, **facts)
                part = whole
            if outcome == "refused":
                self.write(EventKind.ORDER_REJECTED, client_order_id=order_id, message="drawn")
            if not part or not self.fill(order_id, name, side, part, extra, fee):
                self.missed.append((self.day, order_id, name, side))

    def ratio(self, name):
        """Return the new and the old shares of the splits of the session."""
        rows = self.actions[(self.actions["date"] == self.day) & (self.actions["instrument"] == name)]
        splits = [split_terms(value) for value in rows.loc[rows["kind"] == "split", "value"]]
        return splits[0] if splits else (1, 1)

    def act(self, is_late):
        """Book the corporate actions of the session, some of them a session later."""
        due, self.owed = self.owed, []
        today = self.actions[self.actions["date"] == self.day]
        for name, kind, value in due + today[["instrument", "kind", "value"]].to_numpy().tolist():
            self.causes[self.day].add("corporate_actions")
            held = self.state.positions.get(name)
            if is_late and (name, kind, value) not in due:
                self.owed.append((name, kind, value))
            elif held is not None and kind == "split":
                new, old = split_terms(value)
                after = (held.quantity * new / old).quantize(Decimal("1e-6"))
                self.write(EventKind.SPLIT, instrument=name, quantity_after=str(after), amount="0")
            elif held is not None:
                paid = value_in_cents(held.quantity, Decimal(str(value)))
                self.write(EventKind.CASH_DIVIDEND, instrument=name, amount=str(paid))

    def happen(self, what, amount, place):
        """Let happen what no order asks for."""
        fills = [e.key for e in self.events if e.kind is EventKind.FILL]
        amend = "data_revisions", "impact", "fees", "unfilled", "delay", "operator_actions"
        match what:
            case "fee" | "tax" | "interest":
                signed = amount if what == "interest" else -amount
                self.write(EventKind(what), "fees", instrument="", amount=str(signed))
            case "deposit":
                self.write(EventKind.DEPOSIT, instrument="", amount=str(amount))
            case "by hand":
                name, side = NAMES[place % 2], ("buy", "sell")[place % 3 % 2]
                self.fill("external:9", name, side, 2, 0, amount, "operator_actions")
            case "transfer":
                self.write(EventKind.TRANSFER, "operator_actions", instrument="AAA", quantity="3.5", cost=str(amount))
            case "late" if self.missed and self.missed[0][0] < self.day:
                self.fill(*self.missed.pop(0)[1:], 3, 0, amount, "delay", "data_revisions")
            case "bust" if fills:
                self.write(EventKind.TRADE_BUST, *amend, fill=fills[place % len(fills)])
            case "correct" if fills:
                facts = {"price": str(amount)} if place % 2 else {"quantity": "1", "cash": str(-amount)}
                self.write(EventKind.TRADE_CORRECTION, *amend, fill=fills[place % len(fills)], **facts)
            case "cancel" if fills:
                keys = fills[place % len(fills) :][: 1 + place % 2]
                self.write(EventKind.EVENT_CANCELLED, *amend, events=keys)


HAPPENING = st.tuples(
    st.sampled_from(["fee", "tax", "interest", "deposit", "by hand", "transfer", "late", "bust", "correct", "cancel"]),
    CENTS,
    st.integers(0, 20),
)
SESSION = st.tuples(
    ORDERS,
    st.sampled_from(["whole", "part", "nothing", "refused", "sent"]),
    st.integers(-50, 50).map(lambda cents: Decimal(cents) / 100),
    CENTS,
    st.booleans(),
    st.lists(HAPPENING, max_size=3),
)


ONE, HALF = Decimal(1), Decimal("0.5")
EVERYTHING = [
    ({"AAA": ("buy", 10), "BBB": ("buy", 20)}, "nothing", HALF, ONE, False, [("fee", ONE, 0), ("interest", ONE, 0)]),
    ({"AAA": ("buy", 30)}, "whole", HALF, ONE, True, [("late", ONE, 0), ("by hand", ONE, 0), ("tax", ONE, 0)]),
    ({"AAA": ("sell", 5)}, "part", HALF, ONE, False, [("correct", ONE, 1), ("late", ONE, 0), ("transfer", ONE, 0)]),
    ({"BBB": ("buy", 5)}, "sent", HALF, ONE, False, [("cancel", ONE, 0), ("bust", ONE, 2), ("deposit", ONE, 0)]),
]
"""Four sessions with everything that can happen."""


@given(markets(), st.lists(SESSION, min_size=4, max_size=4))
@example(fixed_market(), EVERYTHING)
@settings(max_examples=examples(40))
def test_account_at_a_broker_differs_by_what_happened_and_nothing_is_unexplained(market, sessions):
    account = Broker(market)
    for day, following, (orders, outcome, extra, fee, is_late, happenings) in zip(
        DAYS, DAYS[1:], sessions, strict=False
    ):
        for event in planned(account.events, account.bars, day, following, orders):
            account.state.apply(event)
            account.events.append(event)
        account.day = following
        account.act(is_late)
        account.execute(outcome, extra, fee)
        for happening in happenings:
            account.happen(*happening)
        account.close()
    for day, found in zip(DAYS[1:], of(compared(account.events, market, False)), strict=True):
        # Fractions of a share are worth parts of a tick, to which a close rounds.
        assert found <= account.causes[day] | {"valuation"}
