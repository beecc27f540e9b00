"""The Alpaca market source before a fake Alpaca: what it asks, what it makes of answers, what it says when it fails."""

import pandas as pd
import pytest
from kedro.io import DatasetError

from quant_pipeline.common.exceptions import ConfigurationError, MarketDataError, StaleDataError
from quant_pipeline.datasets.market import Market
from quant_pipeline.market.schemas import BARS_SCHEMA, CORPORATE_ACTIONS_SCHEMA, INSTRUMENTS_SCHEMA
from quant_pipeline.market.sources.alpaca import AlpacaAccess, AlpacaMarketParameters, read_alpaca_market
from quant_pipeline.testing.fake_alpaca import (
    API_KEY,
    SECRET_KEY,
    FakeAlpaca,
    FaultKind,
    MarketTape,
    Request,
    Script,
    ScriptedFault,
)

DAYS = pd.DatetimeIndex(["2024-11-27", "2024-11-29", "2024-12-02", "2024-12-03", "2024-12-04"])
KEYS = {"api_key": API_KEY, "secret_key": SECRET_KEY}


def bars_of(**closes):
    rows = [
        (day, name, close, close + 1, close - 1, close, 1000.0)
        for name, series in closes.items()
        for day, close in zip(DAYS, series, strict=False)
    ]
    columns = ["date", "instrument", "open", "high", "low", "close", "volume"]
    return pd.DataFrame(rows, columns=columns).astype({"date": "datetime64[ns]", "instrument": "str"})


def actions_of(*rows):
    table = pd.DataFrame(list(rows), columns=["date", "instrument", "kind", "value"])
    return table.astype({"date": "datetime64[ns]", "instrument": "str", "kind": "str", "value": "float64"})


BARS = bars_of(AAPL=[100, 101, 25.5, 25.75, 26], GONE=[10, 11], SPY=[600, 601, 602, 603, 604])
ACTIONS = actions_of(
    (DAYS[2], "AAPL", "split", 4.0), (DAYS[3], "AAPL", "cash_dividend", 0.25), (DAYS[3], "SPY", "cash_dividend", 6.03)
)


def merger(sort="cash_mergers", **facts):
    record = {"acquiree_symbol": "GONE", "acquiree_cusip": "", "effective_date": "2024-12-02", "rate": 12.5}
    return {sort: [record | facts]}


def read(server, as_of="2024-12-04", keys=KEYS, **parameters):
    parameters = {"symbols": ["AAPL"], "start": "2024-11-25", "pause_seconds": 0.001} | parameters
    market = Market("alpaca", as_of, {**parameters, "url": server.url}, None, keys, "alpaca_live")
    try:
        return market.load()
    except DatasetError as error:
        # As the hooks of the project do it: the error that says what to do.
        raise error.__cause__ from None


@pytest.fixture
def serve(request):
    started = []

    def start(bars=BARS, actions=ACTIONS, announcements=None):
        started.append(FakeAlpaca(tape=MarketTape(bars, actions, announcements)).start())
        return started[-1]

    yield start
    for server in started:
        server.stop()


def test_bars_and_actions_arrive_as_they_were_traded(serve):
    market = read(serve())
    expected = BARS[BARS["instrument"] == "AAPL"].reset_index(drop=True)
    pd.testing.assert_frame_equal(market.bars, expected)
    pd.testing.assert_frame_equal(market.corporate_actions, ACTIONS[:2])
    assert market.benchmark["close"].tolist() == [600, 601, 602, 603, 604]
    assert market.benchmark["total_return_close"].tolist()[-1] == pytest.approx(604 * (1 + 6.03 / 603))
    assert market.as_of == pd.Timestamp("2024-12-04")
    assert market.problems == ()
    for schema, table in (
        (BARS_SCHEMA, market.bars),
        (CORPORATE_ACTIONS_SCHEMA, market.corporate_actions),
        (INSTRUMENTS_SCHEMA, market.instruments),
    ):
        schema.validate(table)


def test_nothing_after_the_session_is_asked_for(serve):
    market = read(serve(), as_of="2024-12-02")
    assert market.bars["date"].max() == pd.Timestamp("2024-12-02")
    assert market.corporate_actions["kind"].tolist() == ["split"]
    assert market.benchmark["date"].max() == pd.Timestamp("2024-12-02")


def test_a_history_of_many_pages_is_whole():
    symbols = ["AAPL", "JPM", "MSFT", "XOM", "SPY"]
    tape = MarketTape.simulated(symbols, "2014-01-02", "2024-12-04")
    with FakeAlpaca(tape=tape) as server:
        market = read(server, symbols=symbols[:4], start="2014-01-02")
        assert server.requests[Request.BARS] == 2
        own = tape.bars[tape.bars["instrument"] != "SPY"].reset_index(drop=True)
        pd.testing.assert_frame_equal(market.bars, own[market.bars.columns], check_dtype=False)
        kept = tape.corporate_actions[tape.corporate_actions["instrument"].isin(market.bars["instrument"])]
        assert len(market.corporate_actions) == len(kept) > 50
        few = read(server, symbols=symbols[:4], start="2014-01-02", symbols_a_request=2)
    pd.testing.assert_frame_equal(few.bars, market.bars)
    pd.testing.assert_frame_equal(few.corporate_actions, market.corporate_actions)


def test_a_benchmark_may_be_traded_too(serve):
    market = read(serve(), symbols=["AAPL", "SPY"])
    assert market.bars["instrument"].unique().tolist() == ["AAPL", "SPY"]
    assert len(market.benchmark) == 5


def test_symbols_without_bars_are_named(serve):
    with pytest.raises(MarketDataError, match=r"no bars for NOPE, TYPO from 2024-11-25 to 2024-12-04"):
        read(serve(), symbols=["AAPL", "TYPO", "NOPE"])


def test_a_missing_benchmark_is_named(serve):
    with pytest.raises(MarketDataError, match="no bars for QQQ"):
        read(serve(), benchmark="QQQ")


def test_refused_keys_name_their_credentials_entry_and_are_not_shown(serve):
    with pytest.raises(ConfigurationError, match="credentials entry 'alpaca_live'") as refused:
        read(serve(), keys={"api_key": "PKWRONG", "secret_key": "very-secret"})
    assert "very-secret" not in str(refused.value)


def test_missing_keys_name_their_credentials_entry(serve):
    with pytest.raises(ConfigurationError, match="'alpaca_live'"):
        read(serve(), keys={"api_key": None, "secret_key": None})


def test_a_foreign_address_gets_no_keys():
    access = AlpacaAccess(API_KEY, SECRET_KEY, url="https://data.alpaca.markets.example.com")
    with pytest.raises(ConfigurationError, match="is not allowed for market data"):
        read_alpaca_market(AlpacaMarketParameters(symbols=["AAPL"]), "2024-12-04", access)


@pytest.mark.parametrize("status", [429, 500, 504])
def test_a_troubled_server_is_asked_again(serve, status):
    server = serve()
    server.play(
        Script(faults=(ScriptedFault(request=Request.BARS, kind=FaultKind.STATUS_BEFORE, status=status, times=2),))
    )
    assert len(read(server).bars) == 5
    assert server.requests[Request.BARS] == 3


def test_a_server_that_stays_troubled_is_an_error_that_says_what_to_do(serve):
    server = serve()
    server.play(Script(faults=(ScriptedFault(request=Request.BARS, kind=FaultKind.RESET_BEFORE, times=99),)))
    with pytest.raises(MarketDataError, match="run it again later"):
        read(server)
    server.play(Script(faults=(ScriptedFault(request=Request.BARS, kind=FaultKind.GARBAGE, times=99),)))
    with pytest.raises(MarketDataError, match="run it again later"):
        read(server)


def test_the_bars_of_an_open_session_are_not_taken(serve):
    server = serve()
    access = AlpacaAccess(API_KEY, SECRET_KEY, url=server.url)
    parameters = AlpacaMarketParameters(symbols=["AAPL"], start="2024-11-25")
    early = pd.Timestamp("2024-11-29 17:59", tz="UTC")
    with pytest.raises(StaleDataError, match="2024-11-29 18:00 UTC"):
        read_alpaca_market(parameters, "2024-11-29", access, early)
    assert len(read_alpaca_market(parameters, "2024-11-29", access, early + pd.Timedelta(minutes=1)).bars) == 2


@pytest.mark.parametrize(
    ("announcements", "session", "cash"),
    [
        (merger(), "2024-12-02", 12.5),
        (merger(effective_date="2024-11-29"), "2024-12-02", 12.5),
        (merger("stock_mergers", acquirer_symbol="AAPL", acquirer_rate=1, acquiree_rate=2), "2024-12-02", 11.0),
        ({"worthless_removals": [{"symbol": "GONE", "cusip": "", "process_date": "2024-12-03"}]}, "2024-12-03", 0.0),
        ({"redemptions": [{"symbol": "GONE", "process_date": "2024-12-03", "rate": 10}]}, "2024-12-03", 10.0),
    ],
    ids=["cash", "cash, dated on the last bar", "shares", "worthless", "redeemed"],
)
def test_the_end_of_a_listing_pays_on_the_date_of_its_record_after_the_last_bar(serve, announcements, session, cash):
    market = read(serve(announcements=announcements), symbols=["AAPL", "GONE"])
    ending = market.corporate_actions[market.corporate_actions["kind"] == "delisting"]
    assert ending[["date", "instrument", "value"]].to_numpy().tolist() == [[pd.Timestamp(session), "GONE", cash]]
    listed = market.instruments.set_index("instrument")
    assert listed.loc["GONE", "delisted"] == pd.Timestamp("2024-11-29")
    assert pd.isna(listed.loc["AAPL", "delisted"])
    assert market.problems == ()


def test_an_ending_that_is_not_known_yet_has_not_happened(serve):
    market = read(
        serve(announcements=merger(effective_date="2024-12-04")), as_of="2024-12-03", symbols=["AAPL", "GONE"]
    )
    assert "delisting" not in set(market.corporate_actions["kind"])


def test_a_record_that_answers_two_questions_happened_once(serve):
    unit = {"old_symbol": "AAPL", "new_symbol": "GONE", "effective_date": "2024-12-02", "old_rate": 1, "new_rate": 4}
    market = read(
        serve(actions=ACTIONS.iloc[:0], announcements={"unit_splits": [unit]}),
        symbols=["AAPL", "GONE"],
        symbols_a_request=1,
    )
    assert market.corporate_actions["value"].tolist() == [4.0]


def test_bars_that_stop_without_a_reason_are_reported(serve):
    market = read(serve(), symbols=["AAPL", "GONE"], stale_after=2)
    (problem,) = market.problems
    assert problem.instrument == "GONE"
    assert "end on 2024-11-29 and no corporate action says why" in problem.message
    assert read(serve(), symbols=["AAPL", "GONE"], stale_after=3).problems == ()


def test_what_cannot_be_translated_is_reported_and_not_dropped(serve):
    spin_off = {"source_symbol": "AAPL", "new_symbol": "BABY", "source_rate": 1, "new_rate": 1, "ex_date": "2024-12-03"}
    announcements = {"spin_offs": [spin_off], "future_sort": [{"symbol": "AAPL", "process_date": "2024-12-03"}]}
    market = read(serve(announcements=announcements | merger(acquiree_symbol="AAPL")))
    told = {problem.message.split(",")[0] for problem in market.problems}
    assert told == {
        "a record of future_sort of 2024-12-03 is not understood; prices before and after it may not compare",
        "a record of spin_offs of 2024-12-03 is not understood; prices before and after it may not compare",
        "cash_mergers of 2024-12-02 should end it",
    }


def test_stock_dividends_unit_and_reverse_splits_are_splits(serve):
    announcements = {
        "stock_dividends": [{"symbol": "AAPL", "rate": 0.05, "ex_date": "2024-12-02"}],
        "unit_splits": [{"old_symbol": "SPY", "old_rate": 2, "new_rate": 1, "effective_date": "2024-12-03"}],
        "reverse_splits": [{"symbol": "GONE", "old_rate": 10, "new_rate": 1, "ex_date": "2024-11-29"}],
        "name_changes": [{"old_symbol": "OLD", "new_symbol": "AAPL", "process_date": "2024-12-02"}],
    }
    symbols = ["AAPL", "GONE", "SPY"]
    market = read(serve(announcements=announcements), symbols=symbols)
    splits = market.corporate_actions[market.corporate_actions["kind"] == "split"]
    ratios = dict(zip(splits["instrument"], splits["value"], strict=True))
    # The stock dividend comes on the day of the split of four for one.
    assert ratios == {"AAPL": pytest.approx(4.2), "GONE": 0.1, "SPY": 0.5}


def test_two_dividends_of_one_day_are_one_payment_and_holidays_count_on_the_next_session(serve):
    paid = [
        {"symbol": "AAPL", "rate": rate, "special": special, "foreign": False, "cusip": "", "ex_date": "2024-11-28"}
        for rate, special in ((0.25, False), (1.0, True))
    ]
    market = read(serve(actions=ACTIONS[:0], announcements={"cash_dividends": paid}))
    assert market.corporate_actions.to_numpy().tolist() == [[pd.Timestamp("2024-11-29"), "AAPL", "cash_dividend", 1.25]]


def test_an_action_before_the_first_bar_is_not_moved_to_it(serve):
    early = {"symbol": "AAPL", "old_rate": 1, "new_rate": 7, "ex_date": "2024-11-26"}
    market = read(serve(actions=ACTIONS[:1], announcements={"forward_splits": [early]}))
    assert market.corporate_actions.to_numpy().tolist() == [[DAYS[2], "AAPL", "split", 4.0]]


def test_the_dataset_is_read_only_and_describes_no_keys(serve):
    dataset = Market("alpaca", "2024-12-04", {"symbols": ["AAPL"], "url": "http://127.0.0.1:1"}, credentials=KEYS)
    assert SECRET_KEY not in repr(dataset)
    with pytest.raises(DatasetError, match="source 'alpaca' is read-only"):
        dataset.save("anything")
