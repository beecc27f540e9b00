"""A market of two instruments and four sessions, the account that simulates it, and statements written by hand."""

import pandas as pd

from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.simulated.bookkeeping import book_sessions
from quant_pipeline.trading.orders.plans import record_plan
from quant_pipeline.trading.statements import StatementFile, StatementFormat, StatementImportParameters
from quant_pipeline.trading.statements import import_statements as read_statements

DAYS = pd.DatetimeIndex(["2024-12-30", "2024-12-31", "2025-01-02", "2025-01-03"])
COLUMNS = ["date", "kind", "instrument", "side", "quantity", "price", "fee", "cash"]
KINDS = ["fill", "deposit", "withdrawal", "dividend", "fee", "split", "transfer"]
FORMAT = StatementFormat(
    files="*.csv",
    columns={name: name for name in COLUMNS if name != "kind"},
    rows=[{"when": {"kind": kind}, "book": kind} for kind in KINDS],
)
DEPOSIT = "2024-12-30,deposit,,,,,,1000"
BUY = "2024-12-31,fill,AAA,buy,30,10.00,0.35,-300.35"


def bars_table():
    rows = []
    for instrument, closes in {"AAA": [10.0, 10.0, 11.0, 12.0], "BBB": [20.0, 20.0, 20.0, 21.0]}.items():
        for day, close in zip(DAYS, closes, strict=True):
            rows.append((day, instrument, close, close + 0.5, close - 0.5, close, 1000.0))
    columns = ["date", "instrument", "open", "high", "low", "close", "volume"]
    return pd.DataFrame(rows, columns=columns).astype({"instrument": "str"})


def actions_table(*rows):
    table = pd.DataFrame(list(rows), columns=["date", "instrument", "kind", "value"])
    return table.astype({"date": "datetime64[ns]", "instrument": "str", "kind": "str", "value": "float64"})


def orders_table(*rows):
    table = pd.DataFrame(list(rows), columns=["instrument", "side", "quantity", "reference_price", "reason"])
    return table.astype({"instrument": "str", "side": "str", "reason": "str"})


def book(events, bars, actions, rules, up_to):
    market_rules, cost_rules = rules
    known = bars[bars["date"] <= up_to]
    acted = actions[actions["date"] <= up_to]
    days = DAYS[up_to >= DAYS]
    exchange = Exchange(known, acted, days, market_rules, cost_rules)
    return (*events, *book_sessions(events, "sim", 1000.0, exchange))


def plan(events, decided, deal, *rows):
    return (*events, *record_plan(events, orders_table(*rows), decided, deal))


def statement(*lines, name="january.csv"):
    return StatementFile(name, "\n".join([",".join(COLUMNS), *lines]).encode())


def entries(*files):
    return read_statements(files, StatementImportParameters(formats={"hand": FORMAT}), "XNYS").entries
