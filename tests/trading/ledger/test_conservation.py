"""Money and shares change their place but do not appear or vanish, whatever happens to an account.

The oracle counts cash and shares of every instrument on its own, from what each event says, without lots.
"""

from collections import Counter
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.bookkeeping import book_days
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.statements import StatementImportParameters, import_statements
from tests.helpers.four_days import DAYS, FORMAT, statement
from tests.helpers.properties import examples

NAMES = ["AAA", "BBB", "CCC"]
CENTS = st.integers(-50_000, 50_000).map(lambda cents: Decimal(cents) / 100)
PRICES = st.integers(1, 50_000).map(lambda cents: Decimal(cents) / 100)
FEES = st.integers(0, 500).map(lambda cents: Decimal(cents) / 100)
# Fractional shares with three decimals, as brokers deal them.
SHARES = st.integers(1, 50_000).map(lambda thousandths: Decimal(thousandths) / 1000)
STEPS = st.one_of(
    st.tuples(st.just("buy"), st.sampled_from(NAMES), SHARES, PRICES, FEES),
    st.tuples(st.just("sell"), st.sampled_from(NAMES), st.integers(1, 100), PRICES, FEES),
    st.tuples(st.sampled_from(["deposit", "fee", "tax", "interest", "dividend"]), CENTS),
    st.tuples(st.just("split"), st.sampled_from(NAMES), st.sampled_from(["2", "3", "0.5", "0.1", "1.5"]), CENTS),
    st.tuples(st.just("transfer in"), st.sampled_from(NAMES), SHARES, PRICES),
    st.tuples(st.just("transfer out"), st.sampled_from(NAMES), st.integers(1, 100)),
    st.tuples(st.just("spin-off"), st.sampled_from(NAMES), SHARES, st.sampled_from(["0", "0.1", "0.35"])),
    st.tuples(st.just("merger"), st.permutations(NAMES), SHARES, FEES),
    st.tuples(st.just("symbol"), st.permutations(NAMES)),
    st.tuples(st.just("in lieu"), st.sampled_from(NAMES), st.integers(1, 10), FEES),
    st.tuples(st.just("bust"), st.integers(0, 30)),
    st.tuples(st.just("correction"), st.integers(0, 30), PRICES, FEES),
    st.tuples(st.just("close")),
)


class Oracle:
    """Counts cash and shares while it writes the events of a sequence of steps."""

    def __init__(self, method):
        self.cash, self.shares, self.deals = Decimal(1000), Counter(), {}
        facts = {"account": "mine", "cash": "1000", "lot_method": method}
        self.events = [Event(DAYS[0], EventKind.ACCOUNT_OPENED, "open", facts)]

    def write(self, kind, cash=0, **facts):
        self.cash += cash
        facts = {name: str(value) for name, value in facts.items()}
        self.events.append(Event(DAYS[1], kind, f"{kind}:{len(self.events)}", facts))

    def deal(self, side, name, quantity, price, fee):
        sign = 1 if side == "buy" else -1
        self.shares[name] += sign * quantity
        self.deals[f"fill:{len(self.events)}"] = (name, sign * quantity, price, fee, len(self.events))
        self.write(
            EventKind.FILL, -sign * quantity * price - fee, instrument=name, side=side, quantity=quantity,
            price=price, fee=fee,
        )  # fmt: skip

    def part(self, name, percent):
        return (Decimal(self.shares[name]) * percent / 100).quantize(Decimal("0.001"))

    def step(self, kind, *facts):
        getattr(self, "_" + kind.replace(" ", "_").replace("-", "_"))(*facts)

    def _buy(self, name, quantity, price, fee):
        self.deal("buy", name, quantity, price, fee)

    def _sell(self, name, percent, price, fee):
        if (quantity := min(self.part(name, percent), self.shares[name])) > 0:
            self.deal("sell", name, quantity, price, fee)

    def _cash(self, kind, amount):
        self.write(kind, amount, amount=amount)

    def _deposit(self, amount):
        self._cash(EventKind.DEPOSIT if amount > 0 else EventKind.WITHDRAWAL, amount)

    def _fee(self, amount):
        self._cash(EventKind.FEE, amount)

    def _tax(self, amount):
        self._cash(EventKind.TAX, amount)

    def _interest(self, amount):
        self._cash(EventKind.INTEREST, amount)

    def _dividend(self, amount):
        self._cash(EventKind.CASH_DIVIDEND, amount)

    def _split(self, name, ratio, amount):
        after = (self.shares[name] * Decimal(ratio)).quantize(Decimal("0.001"))
        if self.shares[name] > 0 and after > 0:
            self.shares[name] = after
            self.write(EventKind.SPLIT, amount, instrument=name, quantity_after=after, amount=amount)

    def _transfer_in(self, name, quantity, price):
        self.shares[name] += quantity
        self.write(EventKind.TRANSFER, instrument=name, quantity=quantity, cost=quantity * price)

    def _transfer_out(self, name, percent):
        if (quantity := min(self.part(name, percent), self.shares[name])) > 0:
            self.shares[name] -= quantity
            self.write(EventKind.TRANSFER, instrument=name, quantity=-quantity)

    def _spin_off(self, name, quantity, fraction):
        child = NAMES[NAMES.index(name) - 1]
        if self.shares[name] > 0:
            self.shares[child] += quantity
            self.write(
                EventKind.SPIN_OFF, instrument=name, new_instrument=child, quantity=quantity, cost_fraction=fraction
            )

    def _merger(self, names, quantity, amount):
        old, new, _ = names
        if self.shares[old] > 0:
            self.shares[new] += quantity
            self.shares[old] = Decimal(0)
            facts = {"instrument": old, "new_instrument": new, "quantity_after": quantity, "amount": amount}
            self.write(EventKind.MERGER, amount, **facts)

    def _symbol(self, names):
        old, new, _ = names
        if self.shares[old] > 0:
            self.shares[new] += self.shares[old]
            self.shares[old] = Decimal(0)
            self.write(EventKind.SYMBOL_CHANGE, instrument=old, new_instrument=new)

    def _in_lieu(self, name, percent, amount):
        if (quantity := min(self.part(name, percent), self.shares[name])) > 0:
            self.shares[name] -= quantity
            self.write(EventKind.CASH_IN_LIEU, amount, instrument=name, quantity=quantity, amount=amount)

    def _newest_deal(self, number):
        """A fill after which nothing moved its shares, so that taking it back cannot oversell."""
        keys = [key for key, deal in self.deals.items() if deal[4] == len(self.events) - 1]
        return keys[0] if keys and number % 2 else None

    def _bust(self, number):
        if key := self._newest_deal(number):
            name, signed, price, fee, place = self.deals.pop(key)
            self.shares[name] -= signed
            real = self.events[place].key
            self.write(EventKind.TRADE_BUST, signed * price + fee, fill=real)

    def _correction(self, number, price, fee):
        if key := self._newest_deal(number):
            _, signed, old_price, old_fee, place = self.deals.pop(key)
            change = signed * (old_price - price) + old_fee - fee
            facts = {"fill": self.events[place].key, "quantity": abs(signed), "price": price, "fee": fee}
            self.write(EventKind.TRADE_CORRECTION, change, **facts)

    def _close(self):
        self.write(EventKind.SESSION_CLOSED, cash=0, net_asset_value=0)
        self.events[-1].payload["cash"] = str(self.cash)


@given(steps=st.lists(STEPS, max_size=30), method=st.sampled_from(["fifo", "hifo"]))
@settings(max_examples=examples(250))
def test_cash_and_shares_are_conserved_whatever_happens(steps, method):
    oracle = Oracle(method)
    for step in steps:
        oracle.step(*step)
    state = fold(oracle.events)
    assert state.cash == oracle.cash
    held = {name: position.quantity for name, position in state.positions.items()}
    assert held == {name: quantity for name, quantity in oracle.shares.items() if quantity}
    assert state.discrepancy == 0
    assert all(lot.quantity > 0 for position in state.positions.values() for lot in position.lots)


ROWS = st.lists(
    st.one_of(
        st.tuples(st.just("deposit"), st.sampled_from(list(DAYS)), st.integers(1, 10**7)),
        st.tuples(st.just("withdrawal"), st.sampled_from(list(DAYS)), st.integers(-(10**6), -1)),
        st.tuples(st.just("fee"), st.sampled_from(list(DAYS)), st.integers(-999, -1)),
        st.tuples(
            st.just("buy"), st.sampled_from(list(DAYS)), st.integers(1, 500), st.integers(1, 10**4), st.integers(0, 99)
        ),
    ),
    min_size=1,
    max_size=20,
)


@given(rows=ROWS, cut=st.integers(0, 20))
@settings(max_examples=examples(60))
def test_the_cash_of_statements_is_the_cash_that_is_booked_and_no_file_counts_twice(rows, cut, market_of_four_days):
    lines, total = [], Decimal(0)
    for row in rows:
        if row[0] == "buy":
            _, day, quantity, cents, fee = row
            cash = -(Decimal(quantity * cents) + fee) / 100
            lines.append(f"{day:%Y-%m-%d},fill,AAA,buy,{quantity},{Decimal(cents) / 100},{Decimal(fee) / 100},{cash}")
        else:
            cash = Decimal(row[2]) / 100
            lines.append(f"{row[1]:%Y-%m-%d},{row[0]},,,,,,{cash}")
        total += cash
    # The second file overlaps the first: it holds all rows again.
    files = [statement(*lines, name="b.csv")]
    if lines[:cut]:
        files.append(statement(*lines[:cut], name="a.csv"))
    entries = import_statements(files, StatementImportParameters(formats={"hand": FORMAT}), "XNYS").entries
    events = book_days((), "mine", 0, market_of_four_days, entries)
    assert fold(events).cash == total
    assert book_days(events, "mine", 0, market_of_four_days, entries) == ()
