"""The shipped column maps on statements as the brokers write them: literal cash, shares and profit."""

from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.trading.ledger.account import fold
from tests.helpers.broker_statements import ALPACA, INTERACTIVE_BROKERS, SETTLEMENT, csv_file, xlsx_file


def folded(entries):
    return fold([entry.event for entry in entries])


def test_alpaca_activities(read):
    state = folded(read(csv_file(ALPACA)))
    # 10,000 - 10 * 243.85 + 4 * 243.50 - 0.03 + 2.50 - 0.38 - 500
    assert state.cash == Decimal("8037.59")
    assert state.positions["AAPL"].quantity == 24
    assert state.realised == Decimal("-1.40")
    assert (state.fees, state.taxes, state.dividends) == (Decimal("0.03"), Decimal("0.38"), Decimal("2.5"))
    assert state.contributed == 9500


def test_a_fill_in_the_evening_of_new_york_belongs_to_that_day_not_to_the_next_one_in_utc(read):
    sold = next(entry.event for entry in read(csv_file(ALPACA)) if entry.event.payload.get("side") == "sell")
    assert sold.session == pd.Timestamp("2025-01-03")


def test_interactive_brokers_activity_statement(read):
    state = folded(read(csv_file(INTERACTIVE_BROKERS, "interactive_brokers_2025.csv")))
    # 500,000 - 418,505 + 169,337.69 + 498 - 74.70 + 12.34
    assert state.cash == Decimal("251268.33")
    assert state.positions["MSFT"].quantity == 600
    # Sold 400 of 1,000 shares that had cost 418,505: 169,337.69 - 167,402.
    assert state.realised == Decimal("1935.69")
    assert state.interest == Decimal("12.34")


def test_interactive_brokers_flex_queries(read):
    trades = (
        "AssetClass,LevelOfDetail,TradeID,DateTime,CurrencyPrimary,Symbol,Buy/Sell,Quantity,TradePrice,IBCommission,NetCash\n"
        "STK,EXECUTION,1,20250102;093512,USD,KO,BUY,100,62.1,-1,-6211\n"
        "STK,ORDER,,20250102;093512,USD,KO,BUY,100,62.1,-1,-6211\n"
    )
    cash = (
        "TransactionID,Date/Time,CurrencyPrimary,Symbol,Amount,Type,Description\n"
        "7,20250102,USD,,10000,Deposits/Withdrawals,CASH RECEIPTS\n"
        "8,20250103;202000,USD,KO,48.5,Dividends,KO CASH DIVIDEND\n"
    )
    state = folded(read(csv_file(trades, "flex_trades.csv"), csv_file(cash, "flex_cash.csv")))
    assert state.cash == Decimal("3837.5")
    assert state.positions["KO"].cost == 6211


def test_a_chinese_settlement_export_keeps_every_row(read):
    state = folded(read(xlsx_file(SETTLEMENT), currency="CNY", calendar="XSHG"))
    # The last balance of the statement itself.
    assert state.cash == Decimal("487762.18")
    held = {name: position.quantity for name, position in state.positions.items()}
    assert held == {"SH600000": 780, "SZ000001": 500, "BJ920001": 100}
    # The reverse repurchase brought 100,005.07 - 100,001.
    repo = [lot for lot in state.closed_lots if lot.instrument == "SH204001"]
    assert [lot.profit for lot in repo] == [Decimal("4.07")]


def test_a_chinese_export_as_csv_in_its_own_encoding_is_the_same(read):
    header = "成交日期,证券代码,业务名称,成交数量,成交均价,手续费,印花税,过户费,其他费,发生金额,资金余额,交易市场"
    text = "\n".join(
        [
            header,
            '20250102,,银行转证券,0,0,0,0,0,0,"500,000.00","500,000.00",',
            '20250102,="000001",证券买入,500,11.4,5,0,0.06,0,-5705.06,494294.94,深圳A股',
        ]
    )
    state = folded(read(csv_file(text, "交割单.csv", "gb18030"), currency="CNY", calendar="XSHG"))
    assert state.cash == Decimal("494294.94")
    assert state.positions["SZ000001"].quantity == 500


def test_what_no_export_tells_is_written_by_hand(read):
    header = (
        "date,kind,instrument,side,quantity,price,fee,cash,note,new_instrument,cost,cost_fraction,opened,lots,fill,id"
    )
    lines = [
        "2025-01-02,deposit,,,,,,1000,,,,,,,,1",
        "2025-01-02,transfer,GE,,10,,,,,,500,,2021-03-01,,,2",
        "2025-01-03,fill,GE,buy,5,60,1,,,,,,,,,3",
        "2025-01-03,correction,GE,buy,4,60,1,,,,,,,,3,4",
        "2025-01-06,spin_off,GE,,7,,,12.5,,GEV,,0.2,,,,5",
        "2025-01-07,symbol_change,GE,,,,,,,GEA,,,,,,6",
        "2025-01-08,merger,GEV,,,,,200,,,,,,,,7",
        "2025-01-08,cash_in_lieu,GEA,,0.5,,,30,,,,,,,,8",
        "2025-01-10,transfer,GEA,,-3.5,,,,,,,,,,,9",
    ]
    state = folded(read(csv_file("\n".join([header, *lines]), "plain.csv")))
    # Bought 4 for 241; GE then cost 500 + 241, of which a fifth went to GEV.
    assert state.cash == Decimal("1000") - 241 + Decimal("12.5") + 200 + 30
    assert state.positions["GEA"].quantity == 10
    # The oldest lot, 10 shares for 400: half a share sold, three and a half transferred away.
    assert state.positions["GEA"].lots[0].cost == Decimal("240")
    assert state.realised == Decimal("12.5") + (200 - Decimal("148.2")) + (30 - 20)
    assert state.contributed == 1000 + 500 - 140
    assert state.discrepancy == 0


@pytest.mark.parametrize("name", ["plain", "alpaca", "interactive_brokers", "guotai_junan"])
def test_the_examples_are_shipped(shipped, name):
    assert name in shipped.formats
