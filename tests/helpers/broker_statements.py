"""Statements as the brokers write them, and files that hold them."""

import io

import openpyxl

from quant_pipeline.trading.statements import StatementFile

ALPACA = """\
id,activity_type,transaction_time,date,symbol,side,qty,price,net_amount,description
20250102000000000::a,CSD,,2025-01-02,,,,,10000,deposit
20250102143001000::b,FILL,2025-01-02T14:30:01.25Z,,AAPL,buy,10,243.85,,
20250103010000000::c,FILL,2025-01-04T00:59:59Z,,AAPL,sell,4,243.5,,
20250103000000000::d,FEE,,2025-01-03,,,,,-0.03,TAF fee
20250103000000000::e,DIV,,2025-01-03,AAPL,,,,2.5,cash dividend
20250103000000000::f,DIVNRA,,2025-01-03,AAPL,,,,-0.38,withheld
20250104000000000::g,CSW,,2025-01-04,,,,,-500,withdrawal
20250106000000000::h,SPLIT,,2025-01-06,AAPL,,-6,,0,4:1
20250106000000000::i,SPLIT,,2025-01-06,AAPL,,24,,0,4:1
"""

INTERACTIVE_BROKERS = """\
Statement,Header,Field Name,Field Value
Statement,Data,Period,"January 2, 2025 - January 6, 2025"
Trades,Header,DataDiscriminator,Asset Category,Currency,Symbol,Date/Time,Quantity,T. Price,Proceeds,Comm/Fee,Basis,Code
Trades,Data,Order,Stocks,USD,MSFT,"2025-01-02, 09:35:12","1,000",418.5,-418500,-5,418505,O
Trades,Data,Order,Stocks,USD,MSFT,"2025-01-03, 15:59:58",-400,423.355,169342,-4.31,-167402,C
Trades,SubTotal,,Stocks,USD,MSFT,,600,,-249158,-9.31,,
Trades,Total,,Stocks,USD,,,,,-249158,-9.31,,
Deposits & Withdrawals,Header,Currency,Settle Date,Description,Amount
Deposits & Withdrawals,Data,USD,2025-01-02,Electronic Fund Transfer,500000
Deposits & Withdrawals,Data,Total,,,500000
Dividends,Header,Currency,Date,Description,Amount
Dividends,Data,USD,2025-01-03,MSFT(US5949181045) Cash Dividend USD 0.83 per Share (Ordinary Dividend),498
Dividends,Data,Total,,,498
Withholding Tax,Header,Currency,Date,Description,Amount,Code
Withholding Tax,Data,USD,2025-01-03,MSFT(US5949181045) Cash Dividend USD 0.83 per Share - US Tax,-74.7,
Withholding Tax,Data,Total,,,-74.7,
Interest,Header,Currency,Date,Description,Amount
Interest,Data,USD,2025-01-06,USD Credit Interest for Dec-2024,12.34
Interest,Data,Total,,,12.34
"""

SETTLEMENT_HEADER = [
    "成交日期", "证券代码", "证券名称", "业务名称", "成交数量", "成交均价", "手续费", "印花税", "过户费", "其他费",
    "发生金额", "资金余额", "交易市场",
]  # fmt: skip
SETTLEMENT = [
    ["20250102", "", "", "银行转证券", 0, 0, 0, 0, 0, 0, 500000, 500000, ""],
    ["20250102", "600000", "浦发银行", "证券买入", 1000, 10.25, 5, 0, 0.1, 0, -10255.1, 489744.9, "上海A股"],
    ["20250102", "000001", "平安银行", "证券买入", 500, 11.4, 5, 0, 0.06, 0, -5705.06, 484039.84, "深圳A股"],
    ["20250103", "600000", "浦发银行", "证券卖出", 400, 10.3, 5, 2.06, 0.04, 0, 4112.9, 488152.74, "上海A股"],
    ["20250103", "204001", "GC001", "融券回购", 1000, 1.85, 1, 0, 0, 0, -100001, 388151.74, "上海债券"],
    ["20250106", "204001", "GC001", "融券购回", 1000, 0, 0, 0, 0, 0, 100005.07, 488156.81, "上海债券"],
    ["20250106", "920001", "北交所一号", "证券买入", 100, 10, 5, 0, 0, 0, -1005, 487151.81, "北京A股"],
    ["20250106", "600000", "浦发银行", "红股入账", 180, 0, 0, 0, 0, 0, 0, 487151.81, "上海A股"],
    ["20250106", "", "", "批量利息归本", 0, 0, 0, 0, 0, 0, 610.37, 487762.18, ""],
]


def csv_file(text, name="alpaca.csv", encoding="utf-8"):
    return StatementFile(name, text.encode(encoding))


def xlsx_file(rows, name="交割单.xlsx", header=SETTLEMENT_HEADER):
    book = openpyxl.Workbook()
    for row in [header, *rows]:
        book.active.append(row)
    written = io.BytesIO()
    book.save(written)
    return StatementFile(name, written.getvalue())
