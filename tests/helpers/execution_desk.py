"""The pipeline of execution on a market of a few instruments, at any broker."""

import pandas as pd
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from quant_pipeline.datasets.ledger import LedgerEvents
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.pipelines.execution import create_pipeline
from quant_pipeline.pipelines.post_trade.nodes import settle_with_broker
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.simulated.bookkeeping import book_sessions
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules
from quant_pipeline.trading.orders.plans import record_plan
from quant_pipeline.trading.orders.risk_limits import RiskLimits

PRICES = {"AAA": 50.0, "BBB": 20.0, "CCC": 5.0}
LIMITS = RiskLimits(
    max_order_weight=0.3,
    max_position_weight=0.3,
    max_sector_weight=1.0,
    min_traded_value=0,
    max_denied_share=0.5,
)
ORDERS = [("AAA", "buy", 100, 50.0, "best"), ("BBB", "buy", 200, 20.0, "second"), ("CCC", "buy", 7000, 5.0, "too much")]


class Desk:
    """Everything the pipeline reads, on a market of three instruments."""

    def __init__(self, folder, as_of, desk, name, prices=PRICES, **execution):
        self.ledger = folder / "ledger.sqlite"
        self.as_of, self.name, self.prices = pd.Timestamp(as_of), name, prices
        calendar = TradingCalendar.of("XNYS", self.as_of - pd.Timedelta(days=60), self.as_of)
        self.sessions, self.deals_in = calendar.sessions, calendar.next(self.as_of)
        rows = [
            (day, name, price, price, price, price, 1_000_000.0)
            for name, price in prices.items()
            for day in self.sessions
        ]
        columns = ["date", "instrument", "open", "high", "low", "close", "volume"]
        self.bars = pd.DataFrame(rows, columns=columns).astype({"instrument": "str"})
        self.actions = pd.DataFrame(columns=["date", "instrument", "kind", "value"])
        self.actions = self.actions.astype(
            {"date": "datetime64[ns]", "instrument": "str", "kind": "str", "value": float}
        )
        self.execution = ExecutionRules(**execution)
        self.desk = desk

    def events(self):
        return Ledger.at(self.ledger).events() if self.ledger.exists() else ()

    def book(self, sessions):
        exchange = Exchange(self.bars, self.actions, sessions, MarketRules(), CostRules())
        new = book_sessions(self.events(), self.name, 100_000, exchange)
        Ledger.at(self.ledger).append(new)

    def live_on(self):
        """Book the next session, whose bars are those of the last one."""
        next_day = self.bars[self.bars["date"] == self.as_of].assign(date=self.deals_in)
        self.bars = pd.concat([self.bars, next_day]).sort_values(["instrument", "date"], ignore_index=True)
        self.book(TradingCalendar.of("XNYS", self.sessions[0], self.deals_in).sessions)

    def plan(self, orders=ORDERS):
        table = pd.DataFrame(orders, columns=["instrument", "side", "quantity", "reference_price", "reason"])
        source = {"scores": "all_icir", "scores_sha256": "ab"}
        Ledger.at(self.ledger).append(record_plan(self.events(), table, self.as_of, self.deals_in, source))

    def run(self, dry_run=False):
        """Run the pipeline and return what it leaves behind."""
        members = self.bars[["date", "instrument"]]
        sectors = [f"sector of {name}" for name in self.prices]
        instruments = pd.DataFrame({"instrument": list(self.prices), "sector": sectors}).astype("str")
        given = {
            "bars": self.bars,
            "corporate_actions": self.actions,
            "instruments": instruments,
            "universe_members": members,
            "sessions": pd.DataFrame({"date": self.sessions}),
            "params:account": AccountParameters(name=self.name, filled_by="broker"),
            "params:execution": self.execution,
            "params:risk": LIMITS,
            "params:market_rules": MarketRules(),
            "params:cost_rules": CostRules(),
            "params:as_of": f"{self.as_of:%Y-%m-%d}",
            "params:dry_run": dry_run,
            "params:execution_folder": "data/accounts/desk/execution",
        }
        made = ("execution_market", "risk_verdicts", "execution_orders", "execution_breaks")
        made += ("execution_report_csv", "execution_report", "execution_summary", "execution_status")
        kept = {name: Kept() for name in made}
        catalog = DataCatalog(
            {
                **{name: MemoryDataset(value, copy_mode="assign") for name, value in given.items()},
                **{name: LedgerEvents(str(self.ledger)) for name in ("ledger_planned", "ledger_recorded")},
                "trading_desk": self.desk,
                **kept,
            }
        )
        SequentialRunner().run(create_pipeline(), catalog)
        return {name: dataset.load() for name, dataset in kept.items()}


class Kept(MemoryDataset):
    def _release(self):
        pass


def settle(desk):
    return settle_with_broker(
        trading_desk=desk.desk.load(),
        events=desk.events(),
        bars=desk.bars,
        corporate_actions=desk.actions,
        sessions=pd.DataFrame({"date": desk.sessions}),
        account=AccountParameters(name=desk.name, filled_by="broker"),
        execution=desk.execution,
        risk=LIMITS,
        market_rules=MarketRules(),
        cost_rules=CostRules(),
        as_of=f"{desk.as_of:%Y-%m-%d}",
    )


def places(folder, ledger):
    """Return ledger and kill switch as the catalog names them."""
    return {"filepath": ledger}, {"filepath": str(folder / "STOP")}
