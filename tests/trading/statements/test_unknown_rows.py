"""Rows that no rule explains: kept or booked as other cash, never lost, never twice, whatever is decided later."""

import pytest

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.activities.quarantine import PREFIX, QuarantinedRow, resolution_event
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.bookkeeping import book_entry
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.statements import StatementFile, read_statements
from quant_pipeline.trading.statements.unknown_rows import heed_answers

HEAD = "Date,Kind,Symbol,Pieces,Amount,Balance,Words\n"
DEPOSIT = "2025-01-02,In,,,1000,1000,first\n"
BONUS = "2025-01-03,Bonus,,,5.00,1005,welcome\n"
GIFT = "2025-01-06,Gift,AAPL,2,,1005,shares\n"
FORM = {
    "files": "*.csv",
    "columns": {"date": "Date", "instrument": "Symbol", "quantity": "Pieces", "cash": "Amount", "balance": "Balance",
                "note": "Words"},
    "rows": [{"when": {"Kind": "In"}, "book": "deposit"}, {"when": {"Kind": "Out"}, "book": "withdrawal"}],
}  # fmt: skip
BONUS_RULE = {"when": {"Kind": "Bonus"}, "book": "interest"}
GIFT_RULE = {"when": {"Kind": "Gift"}, "book": "transfer", "columns": {"cash": []}, "set": {"cost": "400"}}


@pytest.fixture
def read(shipped):
    def read(*rules, **files):
        parameters = shipped.model_copy(update={"formats": {}, "shipped": []})
        parameters = parameters.with_changes({"formats": {"mine": {**FORM, "more_rows": list(rules)}}})
        return read_statements([StatementFile(f"{n}.csv", t.encode()) for n, t in files.items()], parameters, "XNYS")

    return read


def book(events, imported, close=True):
    """Book what is new, as post-trade does, and close the newest session."""
    state = fold(events)
    known, new = {event.key for event in events}, []
    for entry in heed_answers(imported.entries, events):
        if entry.event.key not in known:
            known.add(entry.event.key)
            book_entry(state, entry)
            new.append(entry.event)
    last = max(event.session for event in (*events, *new))
    closed = Event(
        last, EventKind.SESSION_CLOSED, f"close:{len(events)}", {"net_asset_value": "0", "cash": str(state.cash)}
    )
    return (*events, *new, *([closed] if close else []))


def opened(imported):
    first = imported.entries[0].event.session
    facts = {"account": "mine", "cash": "0", "lot_method": "fifo"}
    return (Event(first, EventKind.ACCOUNT_OPENED, "open:mine", facts),)


def test_cash_of_an_unknown_sort_moves_as_other_and_shares_wait_with_their_record(read):
    imported = read(january=HEAD + DEPOSIT + BONUS + GIFT)
    assert imported.problems == []
    events = book(opened(imported), imported)
    state = fold(events)
    assert (state.cash, state.other, state.positions) == (1005, 5, {})
    (row,) = (QuarantinedRow.of(event) for event in state.quarantine.values())
    assert (row.sort, row.instrument, row.cash, row.shares) == ("Gift", "AAPL", 0, None)
    assert row.raw["Words"] == "shares"
    assert "january.csv, row 4: no rule of the format says what a row with Kind 'Gift' means" in row.problem
    alerts = [event.payload["code"] for event in events if event.kind is EventKind.ALERT_RAISED]
    assert alerts == ["UNKNOWN_ROW", "UNKNOWN_ROW"]


def test_a_running_balance_is_followed_through_rows_of_unknown_sorts(read):
    assert "a row is missing" in read(january=HEAD + DEPOSIT + BONUS.replace("1005", "1006")).problems[0]


def test_the_same_rows_again_in_another_file_and_notation_change_nothing(read):
    imported = read(january=HEAD + DEPOSIT + BONUS + GIFT)
    events = book(opened(imported), imported)
    again = read(january=HEAD + DEPOSIT + BONUS + GIFT, quarter=HEAD + DEPOSIT + BONUS.replace("5.00", "5") + GIFT)
    assert [e.kind for e in book(events, again, close=False)[len(events) :]] == [EventKind.STATEMENT_IMPORTED]


def test_two_equal_rows_of_an_unknown_sort_count_twice(read):
    row = "2025-01-03,Bonus,,,5.00,,welcome\n"
    imported = read(january=HEAD + row + row)
    assert fold(book(opened(imported), imported)).cash == 10


def test_a_rule_that_comes_later_books_the_row_as_what_it_is(read):
    imported = read(january=HEAD + DEPOSIT + BONUS + GIFT)
    events = book(opened(imported), imported)
    explained = read(BONUS_RULE, GIFT_RULE, january=HEAD + DEPOSIT + BONUS + GIFT)
    later = book(events, explained)
    state = fold(later)
    assert (state.cash, state.other, state.interest) == (1005, 0, 5)
    assert (state.positions["AAPL"].quantity, state.positions["AAPL"].cost, state.quarantine) == (2, 400, {})
    assert book(later, explained, close=False) == later


def test_what_the_operator_has_answered_is_not_booked_again_by_a_rule(read):
    imported = read(january=HEAD + DEPOSIT + GIFT.replace("1005", "1000"))
    events = book(opened(imported), imported)
    (row,) = fold(events).quarantine
    answer = resolution_event(row, events[-1].session, "dismissed", "me", "not ours")
    answered = (*events, answer)
    explained = read(GIFT_RULE, january=HEAD + DEPOSIT + GIFT.replace("1005", "1000"))
    assert fold(book(answered, explained)).positions == {}
    assert row.startswith(f"{PREFIX}mine:")


def test_a_rule_that_is_taken_away_is_missed_instead_of_booking_twice(read):
    explained = read(BONUS_RULE, january=HEAD + DEPOSIT + BONUS)
    events = book(opened(explained), explained)
    with pytest.raises(AccountError, match=r"csv, row 3: a rule that the format has no more had booked this row"):
        book(events, read(january=HEAD + DEPOSIT + BONUS))


def test_an_export_of_another_sort_is_refused_as_a_whole(read):
    rows = "".join(f"2025-01-03,{word},,,5,,\n" for word in ("Einzahlung", "Kauf", "Verkauf"))
    found = read(january=HEAD + rows)
    assert len(found.problems) == 3
    assert found.entries == ()


def test_a_foot_that_names_no_sort_is_a_problem(read):
    found = read(january=HEAD + DEPOSIT + ",,,,,,printed on 1 February\n")
    assert found.problems == [
        "january.csv, row 3: no rule of the format says what a row without text in its deciding columns means; add one "
        "under `more_rows`"
    ]


def test_a_row_without_a_date_is_a_problem(read):
    assert (
        "column Date: a row that is booked as other_cash needs a date"
        in read(january=HEAD + DEPOSIT + ",Bonus,,,5,,\n").problems[0]
    )
