"""NautilusTrader executes the orders of an exchange folder; ``make adapter-nautilus`` runs this.

It has no market-on-open orders: the opening price is given as a quote, with the spread of the cost rules around it, and
the orders of the plan reach the venue a second later, when no other price has been made. Between opens the market of an
instrument is closed, so that an order without an opening price is refused. It knows no corporate actions: a split is a
sale at the last close and a purchase at that divided, without fees; dividends are adjustments of the account.
"""

from __future__ import annotations

import importlib.metadata
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
from exchange_files import Engine, Exchange, Marks, Outcome, cents, fee, moved, read, split_of, write
from nautilus_trader import backtest, common, execution, model, risk, trading

PRECISION = 9
DEPTH = model.Quantity.from_int(10**9)
"""Size of every quote: the plan knows no order that is too large for the open."""
MORNING, DIVIDENDS, OPEN, CLOSE = (pd.Timedelta(text) for text in ("8h", "8h30min", "9h30min", "16h"))
SECOND = pd.Timedelta("1s")
ACTION = "action"
"""Tag of orders that carry out a corporate action."""
NOTES = (
    "has no market-on-open order (TimeInForce.AT_THE_OPEN is refused): the open is given as a quote",
    "has no splits, dividends and delistings: the adapter carries them out",
    "the account may borrow: a buy beyond the cash is not cut, and pending sales do not count as cash there",
)


def main(folder: Path) -> None:
    """Execute the plan of a folder and write what became of it."""
    exchange = read(folder)
    started = time.process_time()
    desk = run(exchange)
    says = {
        "prices": "with_costs" if knows_costs(exchange.rules["cost_rules"]) else "before_costs",
        "notes": list(NOTES),
        "seconds": time.process_time() - started,
        "measured": {"lowest cash": desk.lowest_cash, "refused": sum(1 for row in desk.fills.values() if row[4])},
    }
    engine = Engine("nautilus", "NautilusTrader", importlib.metadata.version("nautilus_trader"), "LGPL-3.0-only")
    fills = [desk.fills.get(order, (order, 0, float("nan"), 0.0, "")) for order in exchange.plan["order"]]
    write(exchange, engine, Outcome(fills, desk.values, says))


def knows_costs(costs: dict[str, Any]) -> bool:
    """Whether quotes can carry the costs of the price: impact depends on the size of the order."""
    return costs["volume_impact"] == 0 and costs["root_impact"] == 0


def run(exchange: Exchange) -> Desk:
    """Run the engine over all sessions and return what the desk has seen."""
    silent = common.LoggerConfig.from_spec("stdout=Error")
    engine = backtest.BacktestEngine(
        backtest.BacktestEngineConfig(
            run_analysis=False, logging=silent, risk_engine=risk.RiskEngineConfig(bypass=True)
        )
    )
    currency = model.Currency.from_str(exchange.facts["currency"])
    venue = model.Venue(exchange.rules["market_rules"]["calendar"])
    names = sorted(set(exchange.plan["instrument"]) | set(exchange.tape["instrument"]))
    ids = {name: model.InstrumentId(model.Symbol(name), venue) for name in names}
    desk = Desk(exchange, ids, venue, currency)
    engine.add_venue(
        venue,
        model.OmsType.NETTING,
        model.AccountType.CASH,
        [model.Money(exchange.cash, currency)],
        base_currency=currency,
        fee_model=Fees(exchange, currency),
        modules=[Dividends(exchange, currency)],
        bar_execution=False,
        trade_execution=False,
        allow_cash_borrowing=True,
    )
    step = model.Price(10.0**-PRECISION, PRECISION)
    for name, each in ids.items():
        engine.add_instrument(model.Equity(each, model.Symbol(name), currency, PRECISION, step, 0, 0))
    engine.add_data(market_data(exchange, ids))
    engine.add_strategy(desk)
    engine.run()
    engine.dispose()
    return desk


def nanoseconds(moment: pd.Timestamp) -> int:
    """Return a moment as the engine counts time; the clock of the exchange is taken for UTC."""
    return int(moment.value)


def market_data(exchange: Exchange, ids: dict[str, model.InstrumentId]) -> list[Any]:
    """List what the market shows: quotes of opens and of corporate actions, and when it is open for them."""
    costs = exchange.rules["cost_rules"]
    fraction = costs["half_spread"] if knows_costs(costs) else 0.0
    data: list[Any] = []
    marks, actions = Marks(exchange), dict(list(exchange.actions.groupby("date")))
    wanted = exchange.plan[["date", "instrument"]].drop_duplicates()
    opens = dict(list(wanted.merge(exchange.tape, on=["date", "instrument"]).groupby("date")))
    for each in ids.values():
        data.append(_status(each, model.MarketStatusAction.CLOSE, exchange.sessions[0]))
    for day in exchange.sessions:
        for number, row in enumerate(actions.get(day, exchange.actions.iloc[:0]).itertuples()):
            moment = day + MORNING + number * 4 * SECOND
            if row.instrument in ids and row.instrument in marks.last:
                data += _action_quotes(ids[row.instrument], moment, row, marks)
        for row in opens.get(day, exchange.tape.iloc[:0]).itertuples():
            bid, ask = (moved(row.open, fraction, is_buy) for is_buy in (False, True))
            data += _quoted(ids[row.instrument], day + OPEN, bid, ask)
        # Something happens each morning, so that dividends are paid before the open.
        data.append(_status(next(iter(ids.values())), model.MarketStatusAction.CLOSE, day + DIVIDENDS))
        marks.close(day)
    return sorted(data, key=lambda each: each.ts_init)


def _action_quotes(name: model.InstrumentId, moment: pd.Timestamp, row: Any, marks: Marks) -> list[Any]:
    """List the quotes at which a split or a delisting is carried out."""
    before = marks.last[row.instrument]
    marks.go_ex(row.instrument, row.kind, row.value)
    if row.kind == "split":
        after = before / float(split_of(row.value))
        return _quoted(name, moment, before, before) + _quoted(name, moment + 2 * SECOND, after, after)
    if row.kind == "delisting":
        paid = max(row.value, 10.0**-PRECISION)
        return _quoted(name, moment, paid, paid)
    return []


def _quoted(name: model.InstrumentId, moment: pd.Timestamp, bid: float, ask: float) -> list[Any]:
    """Open the market of an instrument with one quote, and close it before the next second but one."""
    prices = (model.Price(price, PRECISION) for price in (bid, ask))
    now = nanoseconds(moment)
    return [
        _status(name, model.MarketStatusAction.TRADING, moment),
        model.QuoteTick(name, *prices, DEPTH, DEPTH, now, now),
        _status(name, model.MarketStatusAction.CLOSE, moment + 1.5 * SECOND),
    ]


def _status(name: model.InstrumentId, action: model.MarketStatusAction, moment: pd.Timestamp) -> model.InstrumentStatus:
    return model.InstrumentStatus(name, action, nanoseconds(moment), nanoseconds(moment))


class Fees(execution.FeeModel):
    """The cost rules of the folder."""

    def __init__(self, exchange: Exchange, currency: model.Currency) -> None:
        self._costs, self._currency = exchange.rules["cost_rules"], currency

    def __new__(cls, *arguments: Any) -> Fees:
        """Make one; the class of the library takes no arguments."""
        return super().__new__(cls)

    def get_commission(self, order: Any, quantity: model.Quantity, price: model.Price, _: Any) -> model.Money:
        """Return the fee of a fill; corporate actions cost nothing."""
        amount = Decimal(0)
        if ACTION not in (order.tags or []):
            day = pd.Timestamp(order.ts_init).normalize()
            is_buy = order.side == model.OrderSide.BUY
            amount = fee(self._costs, day, is_buy, int(quantity.as_double()), round(price.as_double(), 4))
        return model.Money(float(amount), self._currency)


class Dividends(backtest.SimulationModule):
    """Pays cash dividends on what is held in the morning of their session."""

    def __init__(self, exchange: Exchange, currency: model.Currency) -> None:
        dividends = exchange.actions[exchange.actions["kind"] == "cash_dividend"]
        self._due = {
            day: list(zip(rows["instrument"], rows["value"], strict=True)) for day, rows in dividends.groupby("date")
        }
        self._kept = 1 - Decimal(str(exchange.rules["market_rules"]["dividend_tax_rate"]))
        self._currency = currency

    def __new__(cls, *arguments: Any) -> Dividends:
        """Make one; the class of the library takes no arguments."""
        return super().__new__(cls)

    def process(self, now: int, context: backtest.SimulationModuleContext) -> list[model.Money] | None:
        """Return what the account receives now."""
        day = pd.Timestamp(now).normalize()
        if now < nanoseconds(day + DIVIDENDS) or day not in self._due:
            return None
        due = self._due.pop(day)
        held = {each.instrument_id.symbol.value: int(each.quantity.as_double()) for each in context.positions}
        paid = [cents(held[name] * Decimal(str(value)) * self._kept) for name, value in due if held.get(name)]
        return [model.Money(float(amount), self._currency) for amount in paid]


class Desk(trading.Strategy):
    """Sends the orders of the plan, carries out splits and delistings, and writes down what happens."""

    def __init__(
        self, exchange: Exchange, ids: dict[str, model.InstrumentId], venue: model.Venue, currency: model.Currency
    ) -> None:
        self._exchange, self._ids, self._venue, self._currency = exchange, ids, venue, currency
        self._marks = Marks(exchange)
        self._plan = {day: list(rows.itertuples()) for day, rows in exchange.plan.groupby("date")}
        self._actions = {day: list(rows.itertuples()) for day, rows in exchange.actions.groupby("date")}
        self._to_buy: dict[str, int] = {}
        self.fills: dict[int, tuple[int, int, float, float, str]] = {}
        self.values: list[tuple[pd.Timestamp, float, float]] = []
        self.lowest_cash = exchange.cash

    def __new__(cls, *arguments: Any) -> Desk:
        """Make one; the class of the library takes no arguments of these."""
        return super().__new__(cls)

    def on_start(self) -> None:
        """Set the clock for every moment at which something is sent."""
        for day in self._exchange.sessions:
            for number in range(len(self._actions.get(day, []))):
                moment = day + MORNING + number * 4 * SECOND
                self._at(f"from/{day:%Y-%m-%d}/{number}", moment + SECOND)
                self._at(f"into/{day:%Y-%m-%d}/{number}", moment + 3 * SECOND)
            self._at(f"open/{day:%Y-%m-%d}/0", day + OPEN + SECOND)
            self._at(f"close/{day:%Y-%m-%d}/0", day + CLOSE)

    def on_time_event(self, event: common.TimeEvent) -> None:
        """Do what is due."""
        what, written, number = event.name.split("/")
        day = pd.Timestamp(written)
        if what == "open":
            for row in self._plan.get(day, []):
                self._send(row.instrument, row.side == "buy", row.quantity, str(row.order))
        elif what == "close":
            self._value(day)
        else:
            self._carry_out(what, self._actions[day][int(number)])

    def on_order_filled(self, event: model.OrderFilled) -> None:
        """Write a fill down; one of several pieces is added to the others."""
        tag = event.client_order_id.value.partition("-")[2]
        if not tag.isdigit():
            return
        shares, price = int(event.last_qty.as_double()), event.last_px.as_double()
        paid = event.commission.as_double() if event.commission else 0.0
        _, before, mean, fees, _ = self.fills.get(int(tag), (0, 0, 0.0, 0.0, ""))
        total = before + shares
        self.fills[int(tag)] = (int(tag), total, (before * mean + shares * price) / total, fees + paid, "")

    def on_order_rejected(self, event: model.OrderRejected) -> None:
        """Write a refusal down."""
        self._refused(
            event.client_order_id.value,
            "the market of the instrument is closed" if "CLOSED" in event.reason else event.reason,
        )

    def on_order_denied(self, event: model.OrderDenied) -> None:
        """Write a denial down."""
        self._refused(event.client_order_id.value, event.reason)

    def _refused(self, name: str, reason: str) -> None:
        tag = name.partition("-")[2]
        if tag.isdigit():
            self.fills[int(tag)] = (int(tag), 0, float("nan"), 0.0, reason)

    def _at(self, name: str, moment: pd.Timestamp) -> None:
        self.clock.set_time_alert_ns(name, nanoseconds(moment), None)

    def _send(self, instrument: str, is_buy: bool, shares: int, name: str, tag: str = "plan") -> None:
        order = self.order_factory.market(
            self._ids[instrument],
            model.OrderSide.BUY if is_buy else model.OrderSide.SELL,
            model.Quantity.from_int(int(shares)),
            tags=[tag],
            client_order_id=model.ClientOrderId(f"O-{name}"),
        )
        self.submit_order(order)

    def _carry_out(self, what: str, row: Any) -> None:
        """Sell what is held before a split or at a delisting, buy what it has become after a split."""
        known = self._marks.last.get(row.instrument)
        if row.instrument not in self._ids or known is None or row.kind == "cash_dividend":
            return
        name = f"{what}{row.date:%Y%m%d}{row.instrument}"
        if what == "from":
            held = self._held().get(row.instrument, 0)
            if held:
                self._to_buy[row.instrument] = int(held * split_of(row.value)) if row.kind == "split" else 0
                self._send(row.instrument, False, held, name, ACTION)
        elif shares := self._to_buy.pop(row.instrument, 0):
            self._send(row.instrument, True, shares, name, ACTION)

    def _held(self) -> dict[str, int]:
        open_ones = self.cache.positions_open()
        return {each.instrument_id.symbol.value: int(each.quantity.as_double()) for each in open_ones}

    def _value(self, day: pd.Timestamp) -> None:
        for row in self._actions.get(day, []):
            self._marks.go_ex(row.instrument, row.kind, row.value)
        self._marks.close(day)
        cash = self.cache.account_for_venue(self._venue).balance_total(self._currency).as_double()
        worth = sum(shares * self._marks.last[name] for name, shares in self._held().items())
        self.lowest_cash = min(self.lowest_cash, cash)
        self.values.append((day, cash + worth, cash))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
