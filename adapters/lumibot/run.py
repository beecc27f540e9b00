"""LumiBot runs the plan of an exchange folder, and then its stored scores and its bundle, in its strategy loop.

``make adapter-lumibot`` runs this. With daily bars LumiBot calls a strategy in the morning of a session, shows it that
session's close, and executes its orders at that session's open. The strategies here take prices and scores from the
folder instead, as they were known after the close before; what LumiBot shows is only counted, for the label of the
verdict.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import sys
import time
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

os.environ.update(IS_BACKTESTING="True", BACKTESTING_QUIET_LOGS="true", BACKTESTING_SHOW_PROGRESS_BAR="false")
warnings.simplefilter("ignore")

import pandas as pd  # noqa: E402
from bundle_scores import BundleScores, has_bundle  # noqa: E402
from exchange_files import Engine, Exchange, Marks, Outcome, cents, fee, moved, place_of, read, split_of, write  # noqa: E402
from lumibot.backtesting import PandasDataBacktesting  # noqa: E402
from lumibot.entities import Asset, Data  # noqa: E402
from lumibot.strategies import Strategy  # noqa: E402
from top_scores import TopScores, decides_like_this  # noqa: E402

ZONE = "America/New_York"
NOTES = (
    "executes a market order at the open of the session in whose morning it was sent, and reports it a session later",
    "knows no spread in proportion to a price: its prices are compared with those of the market; the adapter charges "
    "spread and fees to the cash",
    "has no check of cash: what a buy lacks is borrowed",
    "an instrument without a bar executes at its last one",
    "dividends and splits given with daily bars were not booked in a trial: the adapter carries them out",
)


ENGINE = Engine("lumibot", "LumiBot", importlib.metadata.version("lumibot"), "GPL-3.0")
DECIDED = ("date", "instrument", "side", "quantity")


class Order(NamedTuple):
    """What is sent: its number in the plan, or None for one that was decided here."""

    number: int | None
    instrument: str
    is_buy: bool
    shares: int


def main(folder: Path) -> None:
    """Run the plan, then the scores, and write what became of them."""
    exchange = read(folder)
    started = time.process_time()
    market = bars_of(exchange)
    planned = run(exchange, market, Planned(exchange))
    measured = planned.measured()
    if decides_like_this(exchange.rules):
        measured |= compare_decisions(exchange, run(exchange, market, TopScores(exchange)), "the stored scores")
    if decides_like_this(exchange.rules) and has_bundle(exchange):
        bundle = BundleScores(exchange)
        measured |= compare_decisions(exchange, run(exchange, market, bundle), "the bundle")
        measured |= {"rows scored by the bundle in its loop": bundle.scored}
        measured |= {"largest difference of a score of the bundle": float(bundle.largest_difference)}
    says = {
        "prices": "before_costs",
        "look_ahead": planned.label(),
        "notes": list(NOTES),
        "seconds": time.process_time() - started,
        "measured": measured,
    }
    nothing = (0, float("nan"), 0.0, "")
    fills = [(order, *planned.fills.get(order, nothing)) for order in exchange.plan["order"]]
    write(exchange, ENGINE, Outcome(fills, planned.values, says))


def bars_of(exchange: Exchange) -> dict[Asset, Data]:
    """Give every instrument its bars, and a morning after the last session, in which its fills are reported."""
    last = exchange.sessions[-1]
    after = last + pd.tseries.offsets.BDay(1)
    market = {}
    for name, rows in exchange.tape.groupby("instrument"):
        table = rows.set_index("date")[["open", "high", "low", "close", "volume"]]
        if last in table.index:
            table.loc[after] = table.loc[last]
        table.index = table.index.tz_localize(ZONE)
        asset = Asset(name)
        market[asset] = Data(asset, table, timestep="day")
    return market


def run(exchange: Exchange, market: dict[Asset, Data], decider: Any) -> Desk:
    """Run one strategy over all sessions."""
    desks: list[Desk] = []

    class Running(Desk):
        def initialize(self) -> None:
            self.begin(exchange, decider)
            desks.append(self)

    logging.disable(logging.CRITICAL)
    end = exchange.sessions[-1] + pd.Timedelta("8D")
    Running.run_backtest(
        PandasDataBacktesting,
        exchange.sessions[0].to_pydatetime(),
        end.to_pydatetime(),
        pandas_data=market,
        benchmark_asset=None,
        risk_free_rate=0.0,
        budget=exchange.cash,
        analyze_backtest=False,
        show_plot=False,
        show_tearsheet=False,
        save_tearsheet=False,
        show_indicators=False,
        save_logfile=False,
        quiet_logs=True,
        show_progress_bar=False,
    )
    desks[-1].finish()
    return desks[-1]


class Planned:
    """Sends what the plan says."""

    def __init__(self, exchange: Exchange) -> None:
        self._plan = {
            day: [Order(int(r.order), r.instrument, r.side == "buy", int(r.quantity)) for r in rows.itertuples()]
            for day, rows in exchange.plan.groupby("date")
        }

    def decide(self, day: pd.Timestamp, _before: pd.Timestamp, _desk: Desk) -> list[Order]:
        """Return the orders of a session."""
        return self._plan.get(day, [])


def after_split(order: Order, row: Any) -> Order:
    """Scale an order that was decided before a split; those of the plan are in the shares of their session."""
    if order.number is not None or row.kind != "split" or order.instrument != row.instrument:
        return order
    return order._replace(shares=int(order.shares * split_of(row.value)))


class Desk(Strategy):
    """Values the account, carries out corporate actions, and sends what the decider decides."""

    def begin(self, exchange: Exchange, decider: Any) -> None:
        """Start with what the folder says."""
        self.sleeptime = "1D"
        self.book = exchange
        self.decider = decider
        self.costs = exchange.rules["cost_rules"]
        self.marks = Marks(exchange)
        self.actions = {day: list(rows.itertuples()) for day, rows in exchange.actions.groupby("date")}
        self.closes = {day: rows.set_index("instrument")["close"] for day, rows in exchange.tape.groupby("date")}
        self.opens = {day: rows.set_index("instrument")["open"] for day, rows in exchange.tape.groupby("date")}
        self.sent: dict[str, tuple[pd.Timestamp, Order]] = {}
        self.orders: list[tuple[pd.Timestamp, Order]] = []
        self.fills: dict[int, tuple[int, float, float, str]] = {}
        self.values: list[tuple[pd.Timestamp, float, float]] = []
        self.since: dict[str, int] = {}
        self.asked = self.saw_the_close = 0
        self.place = 0
        self.lowest_cash = exchange.cash
        self.marks.close(exchange.sessions[0])
        self.values.append((exchange.sessions[0], exchange.cash, exchange.cash))

    def on_trading_iteration(self) -> None:
        """Begin a session: what came before is known, and what is sent executes at its open."""
        day = pd.Timestamp(self.get_datetime().date())
        sessions = self.book.sessions
        if self.place + 1 >= len(sessions):
            self.finish()
            return
        before = sessions[self.place]
        if self.place > 0:
            self._value(before)
        if day != sessions[self.place + 1]:
            raise SystemExit(
                f"LumiBot's calendar has no session {sessions[self.place + 1]:%Y-%m-%d}; it is at {day:%Y-%m-%d}."
            )
        self.place += 1
        closes_before = dict(self.marks.last)
        orders = self.decider.decide(day, before, self)
        for row in self.actions.get(day, []):
            self._carry_out(row, closes_before)
            orders = [after_split(order, row) for order in orders]
        for order in orders:
            self._send(day, order)

    def finish(self) -> None:
        """Value the last session, whose fills are known a morning later."""
        if len(self.values) < len(self.book.sessions):
            self._value(self.book.sessions[-1])

    def on_filled_order(self, position: Any, order: Any, price: float, quantity: float, multiplier: float) -> None:
        """Write a fill down and charge what it costs beyond the price of the market."""
        day, wanted = self.sent[order.identifier]
        shares, cost = int(quantity), self.costs
        ours = moved(price, cost["half_spread"], wanted.is_buy)
        paid = fee(cost, day, wanted.is_buy, shares, ours)
        at_market = shares * Decimal(str(price))
        spread = abs(cents(shares * Decimal(str(ours))) - at_market)
        self.adjust_cash(-float(spread + paid), reason="spread and fees", allow_negative=True)
        if wanted.number is not None:
            self.fills[wanted.number] = (shares, float(price), 0.0, "")

    def held(self) -> dict[str, int]:
        """Return the shares held of every instrument."""
        found = {each.symbol: int(each.quantity) for each in self.get_positions() if each.asset != self.quote_asset}
        return {name: shares for name, shares in found.items() if shares}

    def measured(self) -> dict[str, float]:
        """Return what was counted."""
        return {"lowest cash": float(self.lowest_cash)}

    def label(self) -> str:
        """Say how often LumiBot showed the close of the session at whose open it then executed."""
        return (
            "its daily bars: asked in the morning of a session for the last price of what the strategy was to trade, "
            f"it answered with the close of that very session in {self.saw_the_close:,} of {self.asked:,} cases, and "
            "executed at the open before it; a strategy that looks at LumiBot's prices earns what no market pays"
        )

    def _value(self, day: pd.Timestamp) -> None:
        self.marks.close(day)
        held, cash = self.held(), float(self.get_cash())
        self.lowest_cash = min(self.lowest_cash, cash)
        worth = sum(shares * self.marks.last[name] for name, shares in held.items())
        self.values.append((day, cash + worth, cash))
        self.since = {name: self.since.get(name, 0) + 1 for name in held}

    def _carry_out(self, row: Any, closes: dict[str, float]) -> None:
        self.marks.go_ex(row.instrument, row.kind, row.value)
        shares = self.held().get(row.instrument, 0)
        if not shares:
            return
        position = self.get_position(Asset(row.instrument))
        value = Decimal(str(row.value))
        if row.kind == "split":
            ratio = split_of(row.value)
            exact = shares * ratio
            position.quantity = int(exact)
            rest = exact - int(exact)
            worth = Decimal(str(closes[row.instrument])) * ratio.denominator / ratio.numerator
            paid = cents(Decimal(rest.numerator) / rest.denominator * worth)
        elif row.kind == "cash_dividend":
            paid = cents(shares * value * (1 - Decimal(str(self.book.rules["market_rules"]["dividend_tax_rate"]))))
        else:
            position.quantity = 0
            paid = cents(shares * value)
        self.adjust_cash(float(paid), reason=row.kind)

    def _send(self, day: pd.Timestamp, wanted: Order) -> None:
        asset = Asset(wanted.instrument)
        close = self.closes[day].get(wanted.instrument) if day in self.closes else None
        if close is not None and close != self.opens[day].get(wanted.instrument):
            self.asked += 1
            self.saw_the_close += self.get_last_price(asset) == close
        order = self.create_order(asset, wanted.shares, "buy" if wanted.is_buy else "sell", time_in_force="day")
        sent = self.submit_order(order)
        self.sent[sent.identifier] = (day, wanted)
        self.orders.append((day, wanted))


def compare_decisions(exchange: Exchange, own: Desk, source: str) -> dict[str, float]:
    """Compare what was decided in LumiBot's loop with the plan."""
    plan = {(r.date, r.instrument, r.side): int(r.quantity) for r in exchange.plan.itertuples()}
    here = {(day, o.instrument, "buy" if o.is_buy else "sell"): o.shares for day, o in own.orders}
    both = plan.keys() & here.keys()
    decided = pd.DataFrame([(*key, shares) for key, shares in here.items()], columns=[*DECIDED])
    decided.to_parquet(place_of(exchange, ENGINE) / f"decided_from_{source.split()[-1]}.parquet", index=False)
    ours = pd.read_parquet(exchange.folder / "ours" / "nav.parquet")["nav"].iloc[-1]
    return {
        f"orders decided from {source} in its loop": len(here),
        f"orders from {source} that are in the plan, by session, instrument and side": len(both),
        f"orders from {source} with the same quantity": sum(plan[key] == here[key] for key in both),
        f"net asset value at the end from {source}, over ours": own.values[-1][1] / ours,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
