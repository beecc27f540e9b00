"""Random sequences of documented activities: the books follow them, or the quarantine explains the difference.

The oracle is the fake exchange, which keeps cash and shares of its own and never looks at books.
"""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipeline.testing.fake_alpaca import FakeExchange, bookings
from tests.helpers.booked_account import BookedAccount
from tests.helpers.properties import examples

NAMES = ("AAA", "BBB", "CCC")
PRICES = {"AAA": "10", "BBB": "20.05", "CCC": "3.33"}
CENTS = st.integers(1, 5000).map(lambda cents: Decimal(cents) / 100)
HELD = st.integers(0, 9)
SHARES = st.integers(1, 60)
CASH_TYPES = [
    "CSD",
    "CSW",
    "JNLC",
    "ACATC",
    "FEE",
    "CFEE",
    "PTC",
    "PTR",
    "INT",
    "INTNRA",
    "INTTW",
    "INTPNL",
    "DIV",
    "DIVCGL",
    "DIVCGS",
    "DIVROC",
    "DIVNRA",
    "DIVFT",
    "DIVTW",
    "DIVWH",
    "DIVFEE",
    "DIVTXEX",
    "CIL",
    "WH",
    "CORR",
    "SEG",
    "SUB",
    "OPCSH",
    "CSR",
    "FXTRD",
    "FXCNV",
    "INVPNL",
    "SWP",
    "WORMHOLE",
]
TRADES = st.tuples(st.just("trade"), st.sampled_from(["buy", "buy", "sell"]), st.sampled_from(NAMES), SHARES, CENTS)
STEPS = st.one_of(
    TRADES,
    TRADES,
    TRADES,
    st.tuples(st.just("cash"), st.sampled_from(CASH_TYPES), CENTS, st.sampled_from(["", *NAMES])),
    st.tuples(st.just("split"), HELD, st.sampled_from(["2", "4", "1.5", "0.1", "0.3"])),
    st.tuples(st.just("stock dividend"), HELD, st.sampled_from(["0.02", "0.1"])),
    st.tuples(st.just("rename"), HELD, st.booleans()),
    st.tuples(st.just("cash merger"), HELD, CENTS),
    st.tuples(
        st.just("merger"), HELD, st.sampled_from(NAMES), st.sampled_from(["0.5", "2"]), st.sampled_from(["0", "3"])
    ),
    st.tuples(st.just("unit"), HELD),
    st.tuples(st.just("spin-off"), HELD, st.sampled_from(["0.5", "1"])),
    st.tuples(st.just("worthless"), HELD),
    st.tuples(st.just("transfer"), st.sampled_from(["ACATS", "JNLS"]), HELD, st.integers(-20, 20), CENTS),
    st.tuples(st.just("option"), st.integers(1, 3), CENTS, st.sampled_from(["expire", "exercise", "keep"])),
    st.tuples(st.just("coin"), st.integers(1, 3), CENTS),
    st.tuples(st.just("bust"), st.integers(0, 30)),
    st.tuples(st.just("correct"), st.integers(0, 30), SHARES, CENTS),
    st.tuples(st.just("cancel"), st.integers(0, 30), st.booleans()),
    st.tuples(st.just("restate"), st.integers(0, 30), CENTS),
)
READINGS = st.lists(st.lists(STEPS, min_size=1, max_size=6), min_size=1, max_size=6)


class World:
    """A fake exchange, its books, and what has been done to it."""

    def __init__(self):
        self.exchange = FakeExchange(cash=5000, prices=PRICES, auto_fill=False)
        self.exchange.hours.set("2025-01-06 15:00")
        self.books = BookedAccount("5000")
        self.names, self.told = 0, 0
        self.amended = set()

    def held(self, place):
        """Choose a long position in a share."""
        held = self.exchange.positions.items()
        names = [n for n, p in held if p.quantity > 0 and n.isalpha() and n in self.exchange.prices]
        return names[place % len(names)] if names else None

    def new_name(self, start):
        self.names += 1
        return f"{start}{chr(ord('A') + self.names // 26)}{chr(ord('A') + self.names % 26)}"

    def happen(self, kind, *terms):
        getattr(self, "_" + kind.replace(" ", "_").replace("-", "_"))(*terms)

    def _trade(self, side, name, quantity, price):
        bookings.trade_by_hand(self.exchange, side, name, quantity, price)

    def _cash(self, kind, amount, name):
        out = kind in ("CSW", "FEE", "CFEE", "DIVNRA", "DIVFT", "DIVTW", "DIVWH", "WH", "SUB", "INTNRA")
        bookings.book_cash(self.exchange, kind, -amount if out else amount, name)

    def _split(self, place, ratio):
        if name := self.held(place):
            bookings.split(self.exchange, name, ratio)

    def _stock_dividend(self, place, rate):
        if name := self.held(place):
            bookings.pay_in_shares(self.exchange, name, rate)

    def _rename(self, place, is_grouped):
        if name := self.held(place):
            bookings.change_symbol(self.exchange, name, self.new_name("N"), is_grouped)

    def _cash_merger(self, place, price):
        if name := self.held(place):
            bookings.merge_for_cash(self.exchange, name, price)

    def _merger(self, place, new, ratio, cash):
        name = self.held(place)
        if name and name != new and self.exchange.positions.get(new, self.exchange.positions[name]).quantity > 0:
            self.exchange.prices.setdefault(new, Decimal(1))
            bookings.merge_for_shares(self.exchange, name, new, ratio, cash)

    def _unit(self, place):
        if name := self.held(place):
            parts = {self.new_name("S"): ("1", "9"), self.new_name("W"): ("0.5", "2")}
            bookings.split_unit(self.exchange, name, parts)

    def _spin_off(self, place, ratio):
        if name := self.held(place):
            bookings.spin_off(self.exchange, name, self.new_name("C"), ratio, "5")

    def _worthless(self, place):
        if name := self.held(place):
            bookings.remove_worthless(self.exchange, name)

    def _transfer(self, kind, place, quantity, price):
        name = self.held(place) or "AAA"
        held = self.exchange.positions[name].quantity if name in self.exchange.positions else 0
        quantity = max(quantity, -int(max(held, 0)))
        if quantity and held >= 0:
            bookings.transfer_shares(self.exchange, name, quantity, price, kind)

    def _option(self, contracts, price, end):
        self.names += 1
        name = f"AAA2501{17 + self.names % 12:02d}C{self.names:08d}"
        bookings.trade_by_hand(self.exchange, "buy", name, contracts, price)
        if end == "expire":
            bookings.expire_option(self.exchange, name)
        elif end == "exercise" and self.exchange.positions.get("AAA", self.exchange.positions[name]).quantity > 0:
            bookings.exercise_option(self.exchange, name, "AAA", "12.5")

    def _coin(self, quantity, price):
        bookings.trade_by_hand(self.exchange, "buy", "BTC/USD", quantity, price)

    def _choose(self, place, wanted):
        rows = [r for r in self.exchange.feed.records if r["id"] not in self.amended and wanted(r)]
        if not rows:
            return None
        self.amended.add(rows[place % len(rows)]["id"])
        return rows[place % len(rows)]

    def _bust(self, place):
        if fill := self._choose(place, _is_fill):
            bookings.bust(self.exchange, fill)

    def _correct(self, place, quantity, price):
        if fill := self._choose(place, _is_fill):
            bookings.correct(self.exchange, fill, quantity, price)

    def _cancel(self, place, names_it):
        if row := self._choose(place, _is_cash):
            bookings.cancel(self.exchange, row, names_it)

    def _restate(self, place, amount):
        if row := self._choose(place, _is_cash):
            bookings.correct_cash(self.exchange, row, amount)

    def read(self):
        records = self.exchange.feed.records
        self.books.read(*records[self.told :])
        self.told = len(records)


def _is_fill(row):
    return row["activity_type"] == "FILL" and row["type"] == "fill"


def _is_cash(row):
    known = row["activity_type"] in CASH_TYPES and row["activity_type"] not in ("CIL", "WORMHOLE")
    return known and row.get("status") == "executed" and not row.get("qty") and "activity_sub_type" not in row


@settings(max_examples=examples(500))
@given(readings=READINGS)
def test_books_equal_the_broker_after_any_activities_or_the_quarantine_says_why(readings):
    world = World()
    for steps in readings:
        for step in steps:
            world.happen(*step)
        world.read()
    exchange, books = world.exchange, world.books
    assert abs(books.cash() - exchange.cash) < Decimal("0.01")
    assert books.shares() == {name: held.quantity for name, held in exchange.positions.items()}
    assert all(position.quantity > 0 for position in books.state.positions.values())
