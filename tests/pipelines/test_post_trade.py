"""Post-trade of an account that is kept by statements, from the folder to the tables, on two instruments."""

import pandas as pd
import pytest
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog
from kedro.runner import SequentialRunner

from quant_pipeline.common.exceptions import AccountError, StaleDataError
from quant_pipeline.datasets.ledger import LedgerEvents
from quant_pipeline.datasets.statements import StatementFolder
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.pipelines.post_trade.pipeline import TABLES, create_pipeline
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.trading.brokers.gateway import Gateway
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules
from quant_pipeline.trading.orders.remarks import account_remarks
from quant_pipeline.trading.orders.risk_limits import RiskLimits
from quant_pipeline.trading.statements import StatementImportParameters
from tests.helpers.four_days import BUY, COLUMNS, DAYS, DEPOSIT, FORMAT, actions_table, bars_table
from tests.helpers.whole_path import Kept


def form(currency):
    return FORMAT.model_copy(update={"currency": currency})


@pytest.fixture
def post_trade(tmp_path, project_path):
    bootstrap_project(project_path)
    folder = tmp_path / "statements"

    def run(as_of, filled_by="statements", currency="USD", splits=(), on_unknown="quarantine", **files):
        for name, lines in files.items():
            folder.mkdir(exist_ok=True)
            (folder / f"{name}.csv").write_text("\n".join([",".join(COLUMNS), *lines]))
        given = {
            "as_of": as_of,
            "account": AccountParameters(name="mine", filled_by=filled_by, lot_method="hifo"),
            "statement_import": StatementImportParameters(
                currency=currency, formats={"hand": form(currency)}, on_unknown=on_unknown
            ),
            "market_rules": MarketRules(),
            "cost_rules": CostRules(),
            "execution": ExecutionRules(),
            "risk": RiskLimits(),
        }
        tables = {
            "trading_desk": Gateway("simulated", {}, str(tmp_path / "ledger.sqlite"), tmp_path / "STOP"),
            "bars": bars_table(),
            "corporate_actions": actions_table(*splits),
            "sessions": pd.DataFrame({"date": DAYS}),
        }
        catalog = DataCatalog({"statement_files": StatementFolder(str(folder))})
        for name, value in {**tables, **{f"params:{name}": value for name, value in given.items()}}.items():
            catalog[name] = Kept(value)
        for name in ("ledger_as_found", "ledger_settled", "ledger_booked"):
            catalog[name] = LedgerEvents(str(tmp_path / "ledger.sqlite"))
        for name in ("holdings", "account_nav", *TABLES):
            catalog[name] = Kept()
        SequentialRunner().run(create_pipeline(), catalog)
        return catalog.load

    return run


def test_statements_become_holdings_lots_and_daily_amounts(post_trade):
    sale = "2025-01-02,fill,AAA,sell,10,11.00,0,110"
    load = post_trade("2025-01-03", january=[DEPOSIT, BUY, sale])
    assert load("holdings")[["instrument", "quantity"]].to_numpy().tolist() == [["AAA", 20]]
    assert load("daily_amounts")["nav"].round(2).tolist() == [1000, 999.65, 1029.65, 1049.65]
    assert load("account_nav")["cash"].tolist() == [1000, 699.65, 809.65, 809.65]
    assert load("closed_lots")["realised_profit"].round(4).tolist() == [round(110 - 300.35 / 3, 4)]
    assert load("open_lots")["quantity"].tolist() == [20]
    assert load("trade_log")["cash"].tolist() == [-300.35, 110]
    assert len(load("holding_log")) == 3
    assert load("trade_costs")["planned"].tolist() == [False, False]


def test_day_by_day_is_the_same_as_at_once_and_again_changes_nothing(post_trade, tmp_path):
    for day in DAYS:
        post_trade(f"{day:%Y-%m-%d}", january=[DEPOSIT, BUY])
    events = LedgerEvents(str(tmp_path / "ledger.sqlite")).load()
    load = post_trade("2025-01-03")
    assert LedgerEvents(str(tmp_path / "ledger.sqlite")).load() == events
    assert load("daily_amounts")["nav"].tolist() == [1000, 999.65, 1029.65, 1059.65]
    assert post_trade("2024-12-31")("daily_amounts")["nav"].tolist() == [1000, 999.65]


LOTTERY, GIFT = "2025-01-02,lottery,,,,,,1", "2025-01-02,gift,AAA,,5,,,"


def test_a_row_that_is_not_understood_books_nothing(post_trade, tmp_path):
    with pytest.raises(AccountError, match=r"january\.csv, row 3, column cash: the cash of a deposit must be positive"):
        post_trade("2025-01-03", january=[DEPOSIT, DEPOSIT.replace("1000", "-1"), LOTTERY])
    with pytest.raises(AccountError, match=r"january\.csv, row 3: no rule"):
        post_trade("2025-01-03", january=[DEPOSIT, LOTTERY], on_unknown="refuse")
    assert LedgerEvents(str(tmp_path / "ledger.sqlite")).load() == ()


@pytest.mark.parametrize("filled_by", ["statements", "simulation"])
def test_a_row_of_an_unknown_sort_stops_no_other_and_lets_only_exits_through(post_trade, tmp_path, filled_by):
    load = post_trade("2025-01-03", filled_by=filled_by, january=[DEPOSIT, LOTTERY, GIFT])
    assert load("account_nav")["cash"].iloc[-1] == {"statements": 1001, "simulation": 1_001_001}[filled_by]
    events = LedgerEvents(str(tmp_path / "ledger.sqlite")).load()
    assert [event.payload["sort"] for event in events if event.kind == "activity_quarantined"] == ["gift"]
    assert AccountOrders.of(events).trading_state == "reducing"
    told = account_remarks(events, DAYS[-1], filled_by).lines
    assert "gift" in told[0]
    assert "kedro account quarantine list" in told[1]
    post_trade("2025-01-03", filled_by=filled_by, january=[DEPOSIT, LOTTERY, GIFT])
    assert LedgerEvents(str(tmp_path / "ledger.sqlite")).load() == events


def test_an_edited_statement_is_an_error_on_the_same_day(post_trade):
    post_trade("2025-01-03", january=[DEPOSIT])
    with pytest.raises(AccountError, match=r"january\.csv was imported before with another content"):
        post_trade("2025-01-03", january=[DEPOSIT.replace("1000", "1001")])


def test_a_session_that_is_not_ingested_is_an_error(post_trade):
    with pytest.raises(StaleDataError, match="has no session 2025-01-06"):
        post_trade("2025-01-06", january=[DEPOSIT])


def test_a_simulated_account_opens_with_its_deposit_and_books_the_one_of_a_file(post_trade):
    load = post_trade("2024-12-31", filled_by="simulation", gift=["2024-12-31,deposit,,,,,,500"])
    assert load("account_nav")["cash"].tolist() == [1_000_500]


def test_split_that_only_the_market_knows_books_nothing_until_the_row_is_written(post_trade, tmp_path):
    split = (DAYS[2], "AAA", "split", 2.0)
    with pytest.raises(
        AccountError, match=r"AAA split 2 for 1 on 2025-01-02, when 30 were held; .*2025-01-02,split,AAA,30"
    ):
        post_trade("2025-01-03", splits=[split], january=[DEPOSIT, BUY])
    assert LedgerEvents(str(tmp_path / "ledger.sqlite")).load() == ()
    load = post_trade("2025-01-03", splits=[split], by_hand=["2025-01-02,split,AAA,,30,,,"])
    assert load("holdings")[["instrument", "quantity"]].to_numpy().tolist() == [["AAA", 60]]


def test_account_in_another_currency_than_the_market_books_nothing(post_trade, tmp_path):
    with pytest.raises(AccountError, match=r"the account is kept in GBP .* the prices of XNYS are in USD"):
        post_trade("2025-01-03", currency="GBP", january=[DEPOSIT])
    assert LedgerEvents(str(tmp_path / "ledger.sqlite")).load() == ()


def test_all_problems_of_all_files_come_at_once(post_trade):
    with pytest.raises(AccountError) as raised:
        post_trade("2025-01-03", january=[DEPOSIT, "2025-01-02,fee,,,,,,0"], february=["yesterday,deposit,,,,,,1"])
    lines = raised.value.message.splitlines()
    assert lines[0] == "2 problems in the statements, nothing was booked:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "february.csv, row 2, column date",
        "january.csv, row 3, column cash",
    ]
