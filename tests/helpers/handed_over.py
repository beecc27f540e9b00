"""A finished backtest of three sessions, small enough to be written down."""

import pandas as pd

from quant_pipeline.backtest.other_engines.folder import FinishedBacktest
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.strategy.rules import StrategyRules

DAYS = pd.to_datetime(["2024-01-02", "2024-01-03", "2024-01-04"])
BARS = [
    (DAYS[0], "AAA", 10.0, 10.5, 9.5, 10.2, 1000.0),
    (DAYS[1], "AAA", 10.1, 10.6, 9.9, 10.4, 1000.0),
    (DAYS[2], "AAA", 10.5, 10.9, 10.3, 10.8, 1000.0),
    (DAYS[0], "BBB", 20.0, 20.5, 19.5, 20.2, 1000.0),
    (DAYS[1], "BBB", 20.1, 20.6, 19.9, 20.4, 1000.0),
]
CASH = "cut to what the cash and the fee allow"
HALTED = "the instrument did not trade in this session"
TRADES = [
    (DAYS[1], DAYS[0], "AAA", "buy", 50, 50, 10.102, 10.1, 0.0, "filled", ""),
    (DAYS[1], DAYS[0], "BBB", "buy", 20, 25, 20.104, 20.1, 0.0, "partially_filled", CASH),
    (DAYS[2], DAYS[1], "BBB", "sell", 0, 20, float("nan"), 0.0, 0.0, "expired", HALTED),
    (DAYS[2], DAYS[1], "AAA", "sell", 50, 50, 10.4979, 10.5, 0.02, "filled", ""),
]
COLUMNS = (
    "date decided instrument side quantity requested price market_price fee status message".split()  # noqa: SIM905
)


def three_sessions():
    """Return the backtest: a fill, one cut to the cash, an order in a halt, a sale."""
    blocks = {
        "strategy": StrategyRules(topk=2, n_drop=1),
        "market_rules": MarketRules.preset("US"),
        "cost_rules": CostRules.preset("US"),
        "account": AccountParameters(name="sim", initial_cash=1000),
    }
    return FinishedBacktest(
        name="own",
        trades=pd.DataFrame(TRADES, columns=COLUMNS),
        nav=pd.DataFrame({"date": DAYS, "nav": [1000.0, 1020.8, 1030.0], "cash": [1000.0, 92.8, 617.7]}),
        bars=pd.DataFrame(BARS, columns=["date", "instrument", "open", "high", "low", "close", "volume"]),
        corporate_actions=pd.DataFrame(
            [(DAYS[1], "AAA", "cash_dividend", 0.1), (pd.Timestamp("2025-01-02"), "AAA", "split", 2.0)],
            columns=["date", "instrument", "kind", "value"],
        ),
        scores=pd.DataFrame([(DAYS[0], "AAA", 1.0), (DAYS[0], "BBB", 0.5)], columns=["date", "instrument", "score"]),
        parameters={block: each.model_dump(mode="json") for block, each in blocks.items()},
        made_of={"engine": "event", "currency": "USD"},
    )
