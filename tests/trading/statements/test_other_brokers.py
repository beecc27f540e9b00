"""Schwab, Fidelity, Robinhood, Trading 212 and Degiro by the shipped maps, with literal cash, shares and profit."""

import pytest

from tests.helpers.previews import preview_of

SCHWAB = """\
"Transactions  for account ...123 as of 03/31/2025"
"Date","Action","Symbol","Description","Quantity","Price","Fees & Comm","Amount"
"03/04/2025","Cash In Lieu","KO","COCA COLA","","","","$2.10"
"03/03/2025","Cash Merger","T","FOO INC","","","","$1,000.00"
"03/03/2025","Cash Merger Adj","T","FOO INC","-40","","",""
"02/03/2025 as of 01/31/2025","Bank Interest","","BANK INT 010125-013125","","","","$0.80"
"02/03/2025","Reinvest Shares","KO","COCA COLA","0.3193","$62.6370","","-$20.00"
"02/03/2025","Reinvest Dividend","KO","COCA COLA","","","","$20.00"
"01/28/2025","Sell to Open","AAPL 02/21/2025 210.00 C","CALL","1","$3.00","$0.65","$299.35"
"01/27/2025","NRA Tax Adj","","SCHWAB1 INT","","","","$-0.88"
"01/08/2025","Stock Split","BRK/B","BERKSHIRE","4","","",""
"01/07/2025","Sell","KO","COCA COLA","10","$61.00","$0.02","$609.98"
"01/07/2025","Buy","BRK/B","BERKSHIRE","1","$450.00","","-$450.00"
"01/06/2025","Buy","KO","COCA COLA","50","$62.00","","-$3,100.00"
"01/03/2025","Buy","T","FOO INC","40","$25.00","$6.00","-$1,006.00"
"01/02/2025","MoneyLink Transfer","","Tfr BANK","","","","$10,000.00"
"Transactions Total","","","","","","","$6,503.88"
"""
SCHWAB_REVERSE_SPLIT = """\
"Date","Action","Symbol","Description","Quantity","Price","Fees & Comm","Amount"
"02/03/2025","Reverse Split","ABC","ABC INC","5","","",""
"02/03/2025","Reverse Split","00123Q104","ABC INC OLD","-50","","",""
"01/06/2025","Buy","ABC","ABC INC","50","$62.00","","-$3,100.00"
"01/02/2025","MoneyLink Transfer","","Tfr BANK","","","","$10,000.00"
"""
FIDELITY = """\
\ufeff

Run Date,Action,Symbol,Description,Type,Quantity,Price ($),Commission ($),Fees ($),Accrued Interest ($),Amount ($),Settlement Date
01/31/2025, REINVESTMENT FIDELITY GOVERNMENT MONEY MARKET (SPAXX) (Cash), SPAXX, CORE, Cash,0.5,1,,,,-0.5,
01/31/2025, DIVIDEND RECEIVED FIDELITY GOVERNMENT MONEY MARKET (SPAXX) (Cash), SPAXX, CORE, Cash,,,,,,0.5,
01/15/2025, DIVIDEND RECEIVED COCA COLA (KO) (Cash), KO, COCA COLA, Cash,,,,,,24.25,
01/15/2025, REINVESTMENT COCA COLA (KO) (Cash), KO, COCA COLA, Cash,0.388,62.5,,,,-24.25,
01/08/2025, YOU SOLD COCA COLA (KO) (Cash), KO, COCA COLA, Cash,-10,63,,0.01,,629.99,01/09/2025
01/06/2025, YOU BOUGHT COCA COLA (KO) (Cash), KO, COCA COLA, Cash,50,62,,,,-3100,01/07/2025
01/02/2025, Electronic Funds Transfer Received (Cash), , No Description, Cash,,,,,,10000,
01/02/2025, Electronic Funds Transfer Paid (Cash), , No Description, Cash,,,,,,-500,

"The data and information in this spreadsheet is provided to you solely for your use."
"Date downloaded 01/31/2025 10:02 am"
"""  # noqa: E501
ROBINHOOD = """\
"Activity Date","Process Date","Settle Date","Instrument","Description","Trans Code","Quantity","Price","Amount"
"2/5/2025","2/5/2025","2/5/2025","ABC","Reverse split","SPR","5","",""
"2/5/2025","2/5/2025","2/5/2025","ABC","Reverse split","SPR","50S","",""
"2/4/2025","2/4/2025","2/4/2025","ABC","Cash Div","CDIV","","","$24.25"
"1/7/2025","1/7/2025","1/8/2025","","Gold","GOLD","","","($5.00)"
"1/6/2025","1/6/2025","1/7/2025","ABC","ABC Inc
CUSIP: 191216100","Buy","49.5","$62.01","($3,069.66)"
"1/6/2025","1/6/2025","1/7/2025","ABC","ABC Inc","Buy","0.5","$62.00","($31.00)"
"1/3/2025","1/3/2025","1/3/2025","","ACH Withdrawal","ACH","","","($100.00)"
"1/2/2025","1/2/2025","1/2/2025","","ACH Deposit","ACH","","","$10,000.00"
"","","","","","","","","","The data provided is for informational purposes only. Please consult an advisor."
"""
TRADING_212 = """\
Action,Time,ISIN,Ticker,Name,No. of shares,Price / share,Currency (Price / share),Exchange rate,Total,Currency (Total),Notes,ID
Deposit,2025-01-02 09:00:00,,,,,,,,10000.00,GBP,,d1
Market buy,2025-01-03 14:35:00.123,US0378331005,AAPL,Apple,6,200.00,USD,1.25,961.44,GBP,,EOF1
Dividend (Ordinary),2025-01-06 09:00:00,US0378331005,AAPL,Apple,6,0.25,USD,Not available,1.20,GBP,,
Stock split close,2025-01-07 09:00:00,US0378331005,AAPL,Apple,6,,,,,,,c1
Stock split open,2025-01-07 09:00:00,US0378331005,AAPL,Apple,60,,,,,,,c2
Limit sell,2025-01-08 15:00:00,US0378331005,AAPL,Apple,30,20.00,USD,1.25,480.00,GBP,,EOF2
Interest on cash,2025-01-09 02:00:00,,,,,,,,0.33,GBP,,i1
Withdrawal,2025-01-10 09:00:00,,,,,,,,-100.00,GBP,,w1
"""  # noqa: E501
DEGIRO = """\
Datum,Uhrze,Valutadatum,Produkt,ISIN,Beschreibung,FX,Änderung,,Saldo,,Order-ID
13-01-2025,17:02,13-01-2025,HOME24,DE000A14KEB5,"Verkauf 4 HOME24@26,00 EUR (DE000A14KEB5)",,EUR,"104,00",EUR,"1.296,39",y
10-01-2025,17:02,10-01-2025,HOME24,DE000A14KEB5,"Kauf 10 HOME24@24,50 EUR (DE000A14KEB5)",,EUR,"-245,00",EUR,"1.192,39",x
10-01-2025,17:02,10-01-2025,HOME24,DE000A14KEB5,Transaktionsgebühren und/oder Entgelte von Dritten,,EUR,"-2,00",EUR,"1.437,39",x
10-01-2025,17:01,10-01-2025,,,Einzahlung,,EUR,"1.434,49",EUR,"1.439,39",
10-01-2025,09:12,10-01-2025,HOME24,DE000A14KEB5,Dividendensteuer,,EUR,"-1,00",EUR,"4,90",
10-01-2025,09:11,10-01-2025,HOME24,DE000A14KEB5,Dividende,,EUR,"3,90",EUR,"5,90",4b4
"""  # noqa: E501


@pytest.mark.parametrize(
    ("files", "conf", "calendar", "cash", "positions", "realised"),
    [
        # 2.10 in lieu, 1,000 - 1,006 of the merger, 609.98 - 620 of the sale.
        ({"schwab.csv": SCHWAB}, {}, "XNYS", "7355.35",
         {"AAPL 02/21/2025 210.00 C": "-1", "BRK.B": "5", "KO": "40.3193"}, "-13.92"),
        ({"Individual_XXX_Transactions_1.csv": SCHWAB_REVERSE_SPLIT}, {}, "XNYS", "6900.00", {"ABC": "5"}, "0.00"),
        ({"fidelity.csv": FIDELITY}, {}, "XNYS", "7030.49", {"KO": "40.388"}, "9.99"),
        ({"robinhood.csv": ROBINHOOD}, {}, "XNYS", "6818.59", {"ABC": "5"}, "0.00"),
        # 480 less half of 961.44.
        ({"trading_212.csv": TRADING_212}, {"currency": "GBP"}, "XLON", "9420.09", {"AAPL": "30"}, "-0.72"),
        # 104 less 4 of the 10 shares that cost 245; fees are booked by themselves.
        ({"degiro_account.csv": DEGIRO}, {"currency": "EUR"}, "XETR", "1294.39", {"DE000A14KEB5": "6"}, "6.00"),
    ],
    ids=["schwab", "schwab reverse split", "fidelity", "robinhood", "trading_212", "degiro"],
)  # fmt: skip
def test_export_books_exactly_this(shipped, files, conf, calendar, cash, positions, realised):
    found = preview_of(shipped.with_changes(conf), files, calendar)
    assert found.problems == []
    summary = found.summary()
    assert (summary["cash"], summary["positions"], summary["realised"]) == (cash, positions, realised)
    assert found.state.discrepancy == 0


def test_map_of_the_user_comes_before_a_shipped_one_for_the_same_file(shipped):
    own = {
        "files": "schwab*.csv",
        "decimal": ".",
        "date_formats": ["%m/%d/%Y"],
        "columns": {"date": "Date", "cash": "Amount"},
        "rows": [
            {"when": {"Action": "MoneyLink Transfer"}, "book": "deposit"},
            {"when": {"Date": "*"}, "book": "ignore"},
        ],
    }
    found = preview_of(shipped.with_changes({"formats": {"mine": own}}), {"schwab.csv": SCHWAB})
    assert (found.formats, found.summary()["cash"]) == ({"schwab.csv": "mine"}, "10000.00")
