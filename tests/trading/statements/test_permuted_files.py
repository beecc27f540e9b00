"""Inputs of an attack on statements: read again, overlapping, amended, in other currencies, dated oddly.

What is right was written before they ran: cash, positions and realised profit, or words of the one problem.
"""

import pytest

from tests.helpers.previews import bought, ib, moved, preview_of

ALPACA = (
    "activity_type,activity_sub_type,id,date,net_amount,symbol,qty,status,transaction_time,type,price,side,"
    "previous_id\n"
)
DEPOSIT = "CSD,,a,2025-01-02,10000,,,executed,,,,,\n"
BUY = "FILL,,b,,,AAPL,10,,2025-01-03T14:30:01.25Z,fill,200,buy,\n"
FLEX = (
    "AssetClass,LevelOfDetail,TradeID,DateTime,CurrencyPrimary,Symbol,Buy/Sell,Quantity,TradePrice,IBCommission,"
    "IBCommissionCurrency,NetCash\n"
)
PLAIN = "date,kind,instrument,side,quantity,price,fee,cash\n"
DEGIRO = "Datum,Tijd,Valutadatum,Product,ISIN,Omschrijving,FX,Mutatie,,Saldo,,Order Id\n"
T212 = (
    "Action,Time,ISIN,Ticker,Name,No. of shares,Price / share,Currency (Price / share),Exchange rate,Total,"
    "Currency (Total),Notes,ID\n"
)
T212_ROWS = (
    "Deposit,2025-01-02 09:00:00,,,,,,,,10000.00,GBP,,d1\n"
    "Market buy,2025-01-03 14:35:00.123,US0378331005,AAPL,Apple,6,200.00,USD,1.25,961.44,GBP,,EOF1\n"
)
SCHWAB = '"Date","Action","Symbol","Description","Quantity","Price","Fees & Comm","Amount"\n'
FIDELITY = (
    "Run Date,Action,Symbol,Description,Type,Quantity,Price ($),Commission ($),Fees ($),Accrued Interest ($),"
    "Amount ($),Settlement Date\n"
)
ROBINHOOD = (
    '"Activity Date","Process Date","Settle Date","Instrument","Description","Trans Code","Quantity","Price","Amount"\n'
)
RH_BUY = '"1/6/2025","1/6/2025","1/7/2025","ABC","ABC Inc","Buy","10","$62.00","($620.00)"\n'
RH_DEPOSIT = '"1/2/2025","1/2/2025","1/2/2025","","ACH Deposit","ACH","","","$10,000.00"\n'
MERGED = "ABC(US1) Merged (Acquisition) DEF 1 FOR 2 (ABC, ABC INC, US1)"
EUROS = {"currency": "EUR"}

BOOKED = {
    "a dividend that a later export marks as cancelled under its own id": (
        {
            "alpaca_1.csv": ALPACA + DEPOSIT + BUY + "DIV,,d,2025-01-06,2.5,AAPL,,executed,,,,,\n",
            "alpaca_2.csv": ALPACA + DEPOSIT + BUY + "DIV,,d,2025-01-06,2.5,AAPL,,canceled,,,,,\n",
        },
        {},
        "8000.00",
        {"AAPL": "10"},
        "0.00",
    ),
    "a dividend that a later export corrects under its own id": (
        {
            "alpaca_1.csv": ALPACA + DEPOSIT + BUY + "DIV,,d,2025-01-06,2.5,AAPL,,executed,,,,,\n",
            "alpaca_2.csv": ALPACA + DEPOSIT + BUY + "DIV,,d,2025-01-06,2.75,AAPL,,correct,,,,,\n",
        },
        {},
        "8002.75",
        {"AAPL": "10"},
        "0.00",
    ),
    "a trade that a later export busts under its own id": (
        {
            "alpaca_1.csv": ALPACA + DEPOSIT + BUY,
            "alpaca_2.csv": ALPACA + DEPOSIT + BUY.replace(",fill,", ",trade_bust,"),
        },
        {},
        "10000.00",
        {},
        "0.00",
    ),
    "halves of a split in two files, a purchase of its day in the first": (
        {
            "alpaca_1.csv": ALPACA
            + DEPOSIT
            + BUY
            + "FILL,,c,,,AAPL,4,,2025-01-06T14:30:01Z,fill,50,buy,\n"
            + "SPLIT,FSPLIT,s1,2025-01-06,0,AAPL,-10,executed,,,,,\n",
            "alpaca_2.csv": ALPACA + "SPLIT,FSPLIT,s2,2025-01-06,0,AAPL,40,executed,,,,,\n",
        },
        {},
        "7800.00",
        {"AAPL": "44"},
        "0.00",
    ),
    "rows of an export in any order": (
        {"alpaca.csv": ALPACA + "FILL,,c,,,AAPL,4,,2025-01-06T14:30:01Z,fill,210,sell,\n" + BUY + DEPOSIT},
        {},
        "8840.00",
        {"AAPL": "6"},
        "40.00",
    ),
    "the same file under another name": (
        {"trading_212_1.csv": T212 + T212_ROWS, "from_2025-01-01_to_2025-02-01_x.csv": T212 + T212_ROWS},
        {"currency": "GBP"},
        "9038.56",
        {"AAPL": "6"},
        "0.00",
    ),
    "a fee in dollars that is exchanged": (
        {
            "Account.csv": DEGIRO
            + '06-01-2025,15:31,06-01-2025,APPLE,US0378331005,FX Credit,"1,08",USD,"1,08",USD,"0,00",x\n'
            + '06-01-2025,15:31,06-01-2025,APPLE,US0378331005,FX Debit,,EUR,"-1,00",EUR,"999,00",x\n'
            + '06-01-2025,15:31,06-01-2025,APPLE,US0378331005,ADR/GDR Pass-Through Fee,,USD,"-1,08",USD,"-1,08",x\n'
            + '02-01-2025,09:00,02-01-2025,,,Deposit,,EUR,"1.000,00",EUR,"1.000,00",\n'
        },
        EUROS,
        "999.00",
        {},
        "0.00",
    ),
    "two equal purchases in one file, one of them in another": (
        {
            "robinhood_1.csv": ROBINHOOD + RH_BUY + RH_BUY + RH_DEPOSIT,
            "robinhood_2.csv": ROBINHOOD + RH_BUY + RH_DEPOSIT,
        },
        {},
        "8760.00",
        {"ABC": "20"},
        "0.00",
    ),
    "a dividend of Schwab as of the day before": (
        {
            "schwab.csv": SCHWAB
            + '"01/16/2025 as of 01/15/2025","Qualified Dividend","KO","COCA COLA","","","","$5.00"\n'
            + '"01/02/2025","MoneyLink Transfer","","Tfr BANK","","","","$100.00"\n'
        },
        {},
        "105.00",
        {},
        "0.00",
    ),
    "a split by hand of a day with trades": (
        {
            "alpaca.csv": ALPACA + DEPOSIT + BUY + "FILL,,c,,,AAPL,4,,2025-01-06T14:30:01Z,fill,50,buy,\n",
            "plain.csv": PLAIN + "2025-01-06,split,AAPL,,30,,,\n",
        },
        {},
        "7800.00",
        {"AAPL": "44"},
        "0.00",
    ),
    "a bust of one of two executions of an order": (
        {
            "alpaca.csv": ALPACA
            + DEPOSIT
            + BUY
            + BUY.replace(",b,", ",c,").replace(",10,", ",5,")
            + BUY.replace(",b,", ",e,")
            .replace(",10,", ",5,")
            .replace(",fill,", ",trade_bust,")
            .replace("buy,", "buy,c")
        },
        {},
        "8000.00",
        {"AAPL": "10"},
        "0.00",
    ),
}
REFUSED = {
    "a cancellation of what no file has": (
        {"alpaca.csv": ALPACA + DEPOSIT + "DIV,,d,2025-01-06,2.5,AAPL,,canceled,,,,,zz\n"},
        {},
        "zz",
    ),
    "a commission in another currency than the trade": (
        {"flex_trades.csv": FLEX + "STK,EXECUTION,1,20250103;093512,USD,KO,BUY,100,62,-1,EUR,-6201\n"},
        {},
        "the fee is in EUR, the account is kept in USD",
    ),
    "a dividend in euros of an account in dollars": (
        {
            "interactive_brokers.csv": ib(
                bought("ABC"),
                rest="Dividends,Header,Currency,Date,Description,Amount\n"
                "Dividends,Data,EUR,2025-02-04,SAP(DE0007164600) Cash Dividend EUR 2.20 (Ordinary Dividend),22\n",
            )
        },
        {},
        "the amounts are in EUR",
    ),
    "a deposit in another currency": (
        {"trading_212.csv": T212 + T212_ROWS + "Deposit,2025-01-03 09:00:00,,,,,,,,50.00,EUR,,d2\n"},
        {"currency": "GBP"},
        "the amounts are in EUR",
    ),
    "a trade of a day before any exchange": (
        {"plain.csv": PLAIN + "1692-01-04,fill,AAPL,buy,1,10,0,-10\n"},
        {},
        "plain.csv, row 2",
    ),
    "two trades with one id and other values": (
        {"alpaca.csv": ALPACA + DEPOSIT + BUY + BUY.replace(",200,", ",201,")},
        {},
        "alpaca.csv, row 4",
    ),
    "a merger of which a file has one half": (
        {"interactive_brokers.csv": ib(bought("ABC"), moved(MERGED, -100))},
        {},
        "100 ABC leave by a merger, but no row says what came for them",
    ),
}


@pytest.mark.parametrize("name", BOOKED)
def test_files_book_what_happened(shipped, name):
    files, conf, cash, positions, realised = BOOKED[name]
    found = preview_of(shipped.with_changes(conf) if conf else shipped, files)
    assert (found.problems, found.quarantined) == ([], [])
    summary = found.summary()
    assert (summary["cash"], summary["positions"], summary["realised"]) == (cash, positions, realised)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_booked_is_one_line_that_names_it(shipped, name):
    files, conf, words = REFUSED[name]
    found = preview_of(shipped.with_changes(conf) if conf else shipped, files)
    assert found.problems or found.quarantined
    assert any(words in line for line in [*found.problems, *found.quarantined])
    assert all(len(problem.splitlines()) == 1 for problem in found.problems)


PAID = "DIV,,d,2025-01-06,2.5,AAPL,,executed,,,,,\n"
HELD = ALPACA + DEPOSIT + BUY
AGAIN = BUY.replace(",b,", ",c,").replace(",fill,200,buy,", ",trade_correct,201,buy,b")


@pytest.mark.parametrize(
    ("name", "files", "cash", "positions"),
    [
        (
            "two corrections that name the original",
            [HELD + PAID + PAID.replace("d,2025-01-06,2.5,AAPL,,executed,,,,,", "e,2025-01-06,3.5,AAPL,,correct,,,,,d")
             + PAID.replace("d,2025-01-06,2.5,AAPL,,executed,,,,,", "f,2025-01-08,4.5,AAPL,,correct,,,,,d")],
            "8004.50",
            {"AAPL": "10"},
        ),
        (
            "a corrected trade that is corrected again by the name of the correction",
            [HELD + AGAIN.replace(",c,", ",e,").replace("201,buy,b", "202,buy,c") + AGAIN],
            "7980.00",
            {"AAPL": "10"},
        ),
        ("a trade of another instrument", [HELD + AGAIN.replace("AAPL", "MSFT")], "7990.00", {"MSFT": "10"}),
        (
            "three exports, each with the amount of its day",
            [HELD + PAID, HELD + PAID.replace("2.5,AAPL,,executed", "3,AAPL,,correct"),
             HELD + PAID.replace("2.5,AAPL,,executed", "3.25,AAPL,,correct"),
             HELD + PAID.replace("2.5,AAPL,,executed", "3.25,AAPL,,correct")],
            "8003.25",
            {"AAPL": "10"},
        ),
        (
            "a split whose halves are cancelled in a later export",
            [HELD + "SPLIT,,s,2025-01-06,0,AAPL,-10,executed,,,,,\nSPLIT,,t,2025-01-06,0,AAPL,40,executed,,,,,\n",
             HELD + "SPLIT,,s,2025-01-06,0,AAPL,-10,canceled,,,,,\nSPLIT,,t,2025-01-06,0,AAPL,40,canceled,,,,,\n"],
            "8000.00",
            {"AAPL": "10"},
        ),
    ],
)  # fmt: skip
def test_amendments_of_amendments_count_as_the_last_one_says(shipped, name, files, cash, positions):
    found = preview_of(shipped, {f"alpaca_{number}.csv": text for number, text in enumerate(files)})
    assert (found.problems, found.summary()["cash"], found.summary()["positions"]) == ([], cash, positions), name
    assert found.state.discrepancy == 0


def test_a_correction_by_hand_to_another_instrument_is_refused(shipped):
    plain = "date,kind,instrument,side,quantity,price,fee,cash,fill\n2025-01-06,correction,MSFT,buy,10,200,0,-2000,b\n"
    (problem,) = preview_of(shipped, {"alpaca.csv": HELD, "plain.csv": plain}).problems
    assert "turns a trade of AAPL buy into one of MSFT buy; bust it and book the right one instead" in problem
