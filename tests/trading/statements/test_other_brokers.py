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


SPLIT_HEAD = (
    "Action,Time (UTC),ISIN,Ticker,Name,No. of shares,Price / share,Currency (Price / share),Exchange rate,Result,"
    "Currency (Result),Total,Currency (Total),ID\n"
)
BEFORE = """\
Deposit,2025-01-02T09:00:00+00:00,,,,,,,,,,5000.00,GBP,d1
Market buy,2025-01-03T11:00:00+00:00,US1,FOO,Foo,100,20.00,GBP,,,,2000.00,GBP,b1
Stock split close,2025-01-07T07:00:00.000+00:00,US1,FOO,Foo,100,20.00,GBP,,0.00,GBP,2000.00,GBP,split-close
"""
AFTER = """\
Stock split open,2025-01-07T07:00:00.009+00:00,US1,FOO,Foo,1000,2.00,GBP,,,,2000.00,GBP,split-open
Market sell,2025-01-08T11:00:00+00:00,US1,FOO,Foo,400,3.00,GBP,,400.00,GBP,1200.00,GBP,s1
"""


@pytest.mark.parametrize(
    "files",
    [
        {
            "from_2025-01-02_to_2025-01-07.csv": SPLIT_HEAD + BEFORE,
            "from_2025-01-07_to_2025-01-31.csv": SPLIT_HEAD + AFTER,
        },
        {"trading_212_1.csv": SPLIT_HEAD + BEFORE + AFTER, "trading_212_2.csv": SPLIT_HEAD + AFTER},
    ],
    ids=["halves in two files", "one half again in a later file"],
)
def test_split_whose_halves_stand_in_two_files_is_one(shipped, files):
    found = preview_of(shipped.with_changes({"currency": "GBP"}), files, "XLON")
    assert (found.problems, found.summary()["positions"], found.summary()["realised"]) == ([], {"FOO": "600"}, "400.00")


def test_half_of_a_split_that_no_file_completes_is_a_problem(shipped):
    files = {"trading_212.csv": SPLIT_HEAD + BEFORE}
    (problem,) = preview_of(shipped.with_changes({"currency": "GBP"}), files, "XLON").problems
    assert problem == "trading_212.csv, row 4: one half of a split, -100 FOO; the row with the new shares is missing"


DUTCH = """\
Datum,Tijd,Valutadatum,Product,ISIN,Omschrijving,FX,Mutatie,,Saldo,,Order Id
23-01-2025,04:21,23-01-2025,FBR LTD,AU000000FBR4,"PRODUCTWIJZIGING : Koop 500 @ 0,039 EUR",,EUR,0,EUR,"18,3",
23-01-2025,02:30,23-01-2025,FBR LTD.,AU000000FBR4,"PRODUCTWIJZIGING : Verkoop 500 @ 0,039 EUR",,EUR,0,EUR,"18,3",
17-01-2025,13:30,17-01-2025,,,Processed Flatex Withdrawal,,EUR,"15,10",EUR,"0,36",
17-01-2025,13:30,17-01-2025,,,flatex terugstorting,,EUR,"-15,10",EUR,"-14,74",
16-01-2025,14:42,16-01-2025,FBR LTD.,AU000000FBR4,"Koop 500 @ 0,039 EUR",,EUR,"-19,50",EUR,"51,92",1bb91f96
,,,,,,,,,,,b017-a61a6d03c3e7
16-01-2025,14:42,16-01-2025,FBR LTD.,AU000000FBR4,DEGIRO Transactiekosten en/of kosten van derden,,EUR,"-1,00",EUR,"1,35",x
16-01-2025,10:33,16-01-2025,,,"Overboeking van uw geldrekening bij flatexDEGIRO Bank 26,45 EUR",,,,EUR,"1,35",
16-01-2025,10:33,16-01-2025,FLATEX EURO BANKACCOUNT,NLFLATEXACNT,Degiro Cash Sweep Transfer,,EUR,"26,45",EUR,"27,80",
15-01-2025,09:51,15-01-2025,,,iDEAL Deposit,,EUR,"100,00",EUR,"1,35",
15-01-2025,09:51,15-01-2025,,,Reservation iDEAL / Sofort Deposit,,EUR,"-100,00",EUR,"-26,45",
14-01-2025,16:49,14-01-2025,,,Reservation iDEAL / Sofort Deposit,,EUR,"100,00",EUR,"32,98",
"""  # noqa: E501


def test_sweeps_and_reservations_of_degiro_move_no_cash_and_a_new_name_no_shares(shipped):
    found = preview_of(shipped.with_changes({"currency": "EUR"}), {"Account.csv": DUTCH}, "XAMS")
    # 100 - 19.50 - 1 - 15.10.
    assert (found.problems, found.summary()["cash"]) == ([], "64.40")
    assert found.summary()["positions"] == {"AU000000FBR4": "500"}


SCHWAB_HEAD = '"Date","Action","Symbol","Description","Quantity","Price","Fees & Comm","Amount"\n'
SCHWAB_MERGER = """\
"02/03/2025","Stock Merger","LCID","LUCID GROUP INC","50","","",""
"02/03/2025","Stock Merger","171439102","CHURCHILL CAPITAL IV XXXMANDATORY MERGER","-50","","",""
"01/06/2025","Reinvest Shares","SPY","SPDR S&P 500 ETF","1.6531","$420.10","","-$694.48"
"01/06/2025","Buy","CCIV","CHURCHILL CAPITAL IV","50","$20.00","","-$1,000.00"
"01/02/2025","Wire Received","","WIRE","","","","$5,000.00"
"""


def test_old_shares_that_are_called_by_their_number_need_their_symbol(shipped):
    files = {"schwab.csv": SCHWAB_HEAD + SCHWAB_MERGER}
    (problem,) = preview_of(shipped, files).problems
    assert problem.endswith("say which they were under `symbols` of the format: '171439102': <symbol>")
    mapped = shipped.with_changes({"formats": {"schwab": {"symbols": {"171439102": "CCIV"}}}})
    found = preview_of(mapped, files)
    assert (found.problems, found.summary()["positions"]) == ([], {"LCID": "50", "SPY": "1.6531"})
    # The price of a reinvestment is rounded to cents; the amount is what counts.
    assert found.summary()["cash"] == "3305.52"


def test_options_of_robinhood_are_not_mixed_with_their_shares(shipped):
    rows = (
        '"3/5/2025","3/5/2025","3/5/2025","SPY","Option Expiration for SPY 3/20/2025 Call $580.00","OEXP","2S","",""\n'
        '"3/3/2025","3/3/2025","3/5/2025","SPY","SPY 3/20/2025 Call $580.00","BTO","2","$3.50","($700.00)"\n'
        '"3/3/2025","3/3/2025","3/5/2025","SPY","SPDR","Buy","1","$580.00","($580.00)"\n'
        '"3/3/2025","3/3/2025","3/5/2025","","ACH Deposit","ACH","","","$2,000.00"\n'
        '"The data provided is for informational purposes only."\n'
    )
    found = preview_of(shipped, {"robinhood.csv": ROBINHOOD.partition("\n")[0] + "\n" + rows})
    assert (found.problems, found.summary()["cash"], found.summary()["positions"]) == ([], "720.00", {"SPY": "1"})
