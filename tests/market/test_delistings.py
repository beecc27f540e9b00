"""What a share brings whose listing ends, by literal numbers."""

import pandas as pd
import pytest
from pandera.errors import SchemaError

from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.data import MarketData
from quant_pipeline.market.delistings import EndedBars, delist_ended, received_values
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.schemas import CORPORATE_ACTIONS_SCHEMA
from quant_pipeline.market.universe import UniverseParameters
from quant_pipeline.pipelines.ingestion.nodes import read_market
from tests.helpers.few_bars import DAYS, actions, bars


def received(table, acted):
    return received_values(adjust_bars(table, acted), acted)


def test_a_bankruptcy_brings_what_it_leaves_on_the_scale_of_adjusted_prices():
    split = (DAYS[1], "AAA", "split", 4.0)
    brought = received(bars([100.0, 25.0, 20.0]), actions(split, (DAYS[3], "AAA", "delisting", 1.5)))
    assert brought.to_dict("records") == [{"date": DAYS[3], "instrument": "AAA", "received": 6.0}]


def test_what_happens_between_the_last_bar_and_the_end_counts_in_the_order_of_the_account():
    acted = actions(
        (DAYS[4], "AAA", "delisting", 3.0),
        (DAYS[4], "AAA", "cash_dividend", 0.25),
        (DAYS[4], "AAA", "split", 2.0),
        (DAYS[3], "AAA", "cash_dividend", 0.5),
        (DAYS[2], "AAA", "cash_dividend", 9.0),
    )
    brought = received(bars([50.0, 50.0, 50.0]), acted)
    # The dividend of the last bar is in its factor, 1 + 9/50.
    assert brought["received"].tolist() == pytest.approx([1.18 * (0.5 + 2 * 0.25 + 2 * 3.0)], abs=1e-12)


def test_a_name_that_is_listed_again_has_two_lives():
    table = bars([10.0, 11.0, 20.0]).assign(date=[DAYS[0], DAYS[1], DAYS[3]])
    acted = actions((DAYS[2], "AAA", "delisting", 7.0), (DAYS[4], "AAA", "delisting", 0.0))
    assert received(table, acted)["received"].tolist() == [7.0, 0.0]


def test_an_end_on_the_session_of_a_bar_counts_from_the_bar_before_it():
    acted = actions((DAYS[2], "AAA", "split", 2.0), (DAYS[2], "AAA", "delisting", 4.0))
    assert received(bars([10.0, 10.0, 5.0]), acted)["received"].tolist() == [8.0]


def test_without_a_bar_before_it_or_of_another_name_an_end_brings_nothing_to_anybody():
    acted = actions((DAYS[0], "AAA", "delisting", 4.0), (DAYS[2], "BBB", "delisting", 4.0))
    assert received(bars([10.0, 10.0, 5.0]), acted).empty
    assert received(bars([10.0, 10.0, 5.0]), actions()).empty


def ended(table, acted=None, n_sessions=5, **rule):
    found = delist_ended(table, actions() if acted is None else acted, DAYS[:n_sessions], EndedBars(**rule))
    return found.to_dict("records")


def test_bars_that_stop_are_a_delisting_when_the_silence_is_complete():
    table = bars([10.0, 8.0])
    noted = {"date": DAYS[4], "instrument": "AAA", "kind": "delisting", "value": 2.4}
    assert ended(table, after_sessions=3, recovery=0.3) == [noted]
    # At the close before it cannot be known.
    assert ended(table, n_sessions=4, after_sessions=3, recovery=0.3) == []
    assert ended(table) == []


def test_bars_that_are_filled_on_without_volume_have_stopped():
    table = bars([10.0, 8.0, 8.0, 8.0, 8.0]).assign(volume=[1000.0, 1000.0, 0.0, 0.0, 0.0])
    noted = {"date": DAYS[4], "instrument": "AAA", "kind": "delisting", "value": 2.4}
    assert ended(table, after_sessions=3, recovery=0.3) == [noted]
    # A currency, or an index, has no volume at all: its bars are all that is known of it.
    assert ended(table.assign(volume=0.0), after_sessions=1) == []
    # A suspension that is over is none that lasts.
    assert ended(table.assign(volume=[1000.0, 0.0, 0.0, 0.0, 1000.0]), after_sessions=1) == []


def test_bars_that_stop_after_a_split_pay_for_the_new_shares():
    split = actions((DAYS[2], "AAA", "split", 4.0))
    assert [row["value"] for row in ended(bars([10.0, 8.0]), split, after_sessions=3)] == [2.0]


def test_a_dividend_in_the_silence_is_paid_once():
    dividend = actions((DAYS[2], "AAA", "cash_dividend", 5.0))
    table = bars([50.0, 50.0])
    (end,) = ended(table, dividend, after_sessions=3)
    assert end["value"] == 45.0
    noted = pd.concat([dividend, actions(tuple(end.values()))], ignore_index=True)
    assert received(table, noted)["received"].tolist() == [50.0]
    larger = actions((DAYS[2], "AAA", "cash_dividend", 60.0))
    assert [row["value"] for row in ended(table, larger, after_sessions=3)] == [0.0]


def test_what_happens_after_the_silence_is_complete_does_not_change_its_value():
    later = actions((DAYS[4], "AAA", "split", 2.0), (DAYS[4], "AAA", "cash_dividend", 3.0))
    assert [row["value"] for row in ended(bars([10.0, 8.0]), later, after_sessions=2)] == [8.0]
    assert [row["value"] for row in ended(bars([10.0, 8.0]), later, after_sessions=3)] == [1.0]


def test_a_delisting_that_is_noted_twice_pays_once():
    twice = actions((DAYS[3], "AAA", "delisting", 20.0), (DAYS[3], "AAA", "delisting", 20.0))
    assert received(bars([50.0, 50.0]), twice)["received"].tolist() == [20.0]
    second = actions((DAYS[2], "AAA", "delisting", 20.0), (DAYS[4], "AAA", "delisting", 10.0))
    assert received(bars([50.0, 50.0]), second).to_dict("records") == [
        {"date": DAYS[2], "instrument": "AAA", "received": 20.0}
    ]
    with pytest.raises(SchemaError, match="'date', 'instrument', 'kind'"):
        CORPORATE_ACTIONS_SCHEMA.validate(twice)


@pytest.mark.parametrize("unit", ["s", "us"])
def test_actions_may_carry_dates_of_another_unit_than_the_bars(unit):
    acted = actions((DAYS[2], "AAA", "split", 2.0), (DAYS[3], "AAA", "delisting", 3.0))
    acted["date"] = acted["date"].astype(f"datetime64[{unit}]")
    assert received(bars([10.0, 8.0]), acted)["received"].tolist() == [6.0]
    assert len(ended(bars([10.0, 8.0]), acted[:1], after_sessions=2)) == 1


def test_bars_that_never_traded_end_at_the_last_close_that_is_known():
    table = bars([10.0, 8.0, float("nan")]).assign(volume=0.0)
    assert [row["value"] for row in ended(table, after_sessions=2)] == [8.0]
    other = pd.concat([table, bars([5.0, 6.0], "BBB")], ignore_index=True)
    found = [(row["instrument"], row["date"], row["value"]) for row in ended(other, after_sessions=1)]
    assert found == [("AAA", DAYS[3], 8.0), ("BBB", DAYS[2], 6.0)]


def test_what_is_delisted_already_or_trades_on_does_not_end_again():
    assert ended(bars([10.0, 8.0]), actions((DAYS[2], "AAA", "delisting", 1.0)), after_sessions=1) == []
    assert ended(bars([10.0, 8.0, 8.0, 8.0]), after_sessions=2) == []
    # An end before the newest life says nothing about that.
    early = actions((DAYS[1], "AAA", "delisting", 1.0))
    assert len(ended(bars([10.0, 8.0, 8.0]), early, after_sessions=2)) == 1


def test_the_tables_of_a_market_know_the_delistings_of_the_rule(caplog):
    known = actions((DAYS[1], "BBB", "cash_dividend", 1.0))
    market = MarketData(
        bars=pd.concat([bars([10.0, 8.0]), bars([5.0] * 5, "BBB")], ignore_index=True),
        corporate_actions=known,
        instruments=pd.DataFrame(
            {
                "instrument": ["AAA", "BBB"],
                "sector": "Unknown",
                "delisted": pd.array([pd.NaT, pd.NaT], dtype="datetime64[ns]"),
            }
        ),
        benchmark=bars([1.0]),
        as_of=DAYS[4],
    )
    rules = MarketRules(), f"{DAYS[4]:%Y-%m-%d}"
    tables = read_market(market, UniverseParameters(), EndedBars(after_sessions=2, recovery=0.5), *rules)
    assert tables["corporate_actions"].to_dict("records") == [
        {"date": DAYS[1], "instrument": "BBB", "kind": "cash_dividend", "value": 1.0},
        {"date": DAYS[3], "instrument": "AAA", "kind": "delisting", "value": 4.0},
    ]
    CORPORATE_ACTIONS_SCHEMA.validate(tables["corporate_actions"])
    assert tables["instruments"]["delisted"].tolist() == [DAYS[1], pd.NaT]
    assert "WARNING" not in caplog.text
    assert read_market(market, UniverseParameters(), EndedBars(), *rules)["corporate_actions"] is known


def test_a_run_warns_of_the_delistings_of_its_session_and_counts_those_of_years_ago(caplog):
    caplog.set_level("INFO")
    names = [f"N{number:04d}" for number in range(3000)]
    late = [bars([5.0] * 3, name) for name in names[:1500]]
    early = [bars([5.0] * (1 + number % 2), name) for number, name in enumerate(names[1500:])]
    market = MarketData(
        bars=pd.concat([*late, *early, bars([5.0] * 5, "ZZZ")], ignore_index=True),
        corporate_actions=actions(),
        instruments=pd.DataFrame(
            {
                "instrument": [*names, "ZZZ"],
                "sector": "Unknown",
                "delisted": pd.array([pd.NaT] * 3001, dtype="datetime64[ns]"),
            }
        ),
        benchmark=bars([1.0]),
        as_of=DAYS[4],
    )
    tables = read_market(
        market, UniverseParameters(), EndedBars(after_sessions=2), MarketRules(), f"{DAYS[4]:%Y-%m-%d}"
    )
    session, before = f"{DAYS[4]:%Y-%m-%d}", f"{DAYS[3]:%Y-%m-%d}"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "WARNING",
            f"without a bar for 2 sessions, and delisted from {session} on by `ended_bars`: "
            f"{', '.join(names[:10])} and 1,490 more (all: table corporate_actions)",
        ),
        (
            "INFO",
            f"delisted by `ended_bars` in earlier sessions: 1500, N1501 ({before}), N1503 ({before}), N1505 ({before}) "
            "and 1,497 more (all: table corporate_actions)",
        ),
    ]
    assert sorted(tables["corporate_actions"]["instrument"]) == names
