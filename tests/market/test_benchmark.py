"""The benchmark pays the tax on dividends that the account pays."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.benchmark import check_benchmark, levels_in, net_total_return
from quant_pipeline.market.price_adjustment import adjust_bars, dividend_returns
from quant_pipeline.market.sources.files import FilesMarketParameters, read_market_files
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market

DAYS = pd.DatetimeIndex(["2024-03-14", "2024-03-15", "2024-03-18"], name="date")
LEVELS = pd.DataFrame({"date": DAYS, "total_return_close": [100.0, 101.0, 111.1], "dividend_return": [0.0, 0.02, 0.0]})


def test_a_tax_on_dividends_lowers_the_sessions_that_pay_by_hand():
    # 1 % of which 2 % are dividends, at 15 %: 0.7 %; then 10 % without dividends.
    assert net_total_return(LEVELS, 0.15).tolist() == pytest.approx([100.0, 100.7, 110.77])


def test_without_a_tax_the_level_is_the_stored_one_whatever_is_known_of_dividends():
    stored = LEVELS.drop(columns="dividend_return")
    assert net_total_return(stored, 0.0).tolist() == [100.0, 101.0, 111.1]
    with pytest.raises(MarketDataError, match=r"Read the market again: kedro run --pipelines ingestion"):
        net_total_return(stored, 0.15)


def test_a_session_without_a_level_loses_no_return_under_a_tax():
    gap = LEVELS.assign(total_return_close=[100.0, np.nan, 110.0], dividend_return=[0.0, np.nan, 0.02])
    # 10 % of which 2 % are dividends, at 15 %.
    assert net_total_return(gap, 0.15).tolist() == pytest.approx([100.0, 100.0, 109.7])


def test_a_benchmark_that_begins_later_pays_the_tax_from_its_first_level_on():
    late = pd.concat([LEVELS.assign(date=LEVELS["date"] - pd.Timedelta(days=7)), LEVELS], ignore_index=True)
    late.loc[:2, ["total_return_close", "dividend_return"]] = np.nan
    net = net_total_return(late, 0.15)
    assert net[:3].isna().all()
    assert net[3:].tolist() == pytest.approx([100.0, 100.7, 110.77])


def test_a_level_whose_dividends_are_unknown_is_refused_under_a_tax_only():
    unknown = LEVELS.assign(dividend_return=[np.nan, np.nan, 0.0])
    with pytest.raises(MarketDataError, match="no `dividend_return` on 2024-03-15"):
        net_total_return(unknown, 0.15)
    assert net_total_return(unknown, 0.0).tolist() == [100.0, 101.0, 111.1]
    # Of the first level nothing is paid that counts.
    assert net_total_return(unknown.assign(dividend_return=[np.nan, 0.02, 0.0]), 0.15).iloc[-1] == pytest.approx(110.77)


@pytest.mark.parametrize("tax", [0.0, 0.15])
def test_a_benchmark_that_does_not_span_the_account_is_refused_instead_of_returning_nothing(tax):
    gap = LEVELS.assign(total_return_close=[100.0, np.nan, 110.0], dividend_return=[0.0, 0.0, 0.0])
    assert levels_in(gap, DAYS, tax).tolist() == pytest.approx([100.0, 100.0, 110.0])
    # The level before the first session is known.
    assert levels_in(gap, DAYS[1:], tax).tolist() == pytest.approx([100.0, 110.0])
    with pytest.raises(
        MarketDataError, match="known from 2024-03-18 to 2024-03-18, the account trades from 2024-03-14"
    ):
        levels_in(gap[1:], DAYS, tax)
    days = pd.bdate_range(DAYS[0], periods=9)
    assert levels_in(gap, days[:8], tax).tolist()[-6:] == pytest.approx([110.0] * 6)
    with pytest.raises(MarketDataError, match="to 2024-03-18, the account trades from 2024-03-14 to 2024-03-26"):
        levels_in(gap, days, tax)
    with pytest.raises(MarketDataError, match="known nowhere"):
        levels_in(gap.assign(total_return_close=np.nan), DAYS, tax)


def test_the_real_index_after_tax_is_the_one_whose_dividends_are_that_much_smaller(real_market):
    files = FilesMarketParameters(bars="us_daily_csv", benchmark="us_benchmark_daily.parquet")
    benchmark = read_market_files(real_market, files, as_of="2019-12-31").benchmark
    raw = pd.read_parquet(real_market / "us_benchmark_daily.parquet").rename(columns={"symbol": "instrument"})
    raw = raw[raw["date"].isin(benchmark["date"])].sort_values("date", ignore_index=True)
    paying = raw[raw["dividend_amount"] > 0]
    smaller = paying[["date", "instrument"]].assign(kind="cash_dividend", value=paying["dividend_amount"] * 0.85)
    expected = adjust_bars(raw, smaller)["close"].to_numpy()
    net = net_total_return(benchmark, 0.15).to_numpy()
    assert net / net[0] == pytest.approx(expected / expected[0], rel=1e-9)
    assert net[-1] < 0.99 * benchmark["total_return_close"].iloc[-1] * net[0] / benchmark["total_return_close"].iloc[0]


def test_every_instrument_has_its_own_dividends_and_a_split_is_none():
    bars = pd.DataFrame(
        {
            "date": [*DAYS, *DAYS],
            "instrument": pd.Series(["A"] * 3 + ["B"] * 3, dtype="str"),
            **{key: [10.0, 11.0, 5.5, 20.0, 20.0, 22.0] for key in ("open", "high", "low", "close")},
            "volume": 1000.0,
        }
    )
    actions = pd.DataFrame(
        {
            "date": [DAYS[1], DAYS[2], DAYS[2]],
            "instrument": pd.Series(["A", "A", "B"], dtype="str"),
            "kind": ["cash_dividend", "split", "cash_dividend"],
            "value": [0.5, 2.0, 1.0],
        }
    )
    assert dividend_returns(bars, actions).tolist() == pytest.approx([0.0, 0.05, 0.0, 0.0, 0.0, 0.05], abs=1e-15)
    assert dividend_returns(bars.iloc[:0], actions.iloc[:0]).empty


def test_the_embedded_index_pays_what_its_members_pay():
    market = generate_market(SimulatedMarketParameters(n_instruments=40, start="2022-01-03", end="2024-12-31"))
    yearly = market.benchmark["dividend_return"].sum() / 3
    # Six of ten pay 0.5 to 4 % a year.
    assert 0.003 < yearly < 0.03
    assert (market.benchmark["dividend_return"] >= 0).all()
    net = net_total_return(market.benchmark, 0.3)
    lost = np.log(market.benchmark["total_return_close"].iloc[-1] / net.iloc[-1]) / 3
    assert lost == pytest.approx(0.3 * yearly, rel=0.05)


WHOLE = pd.DataFrame({"date": pd.bdate_range("2024-01-02", periods=20).as_unit("ns"), "total_return_close": 100.0})


def found_in(levels):
    return check_benchmark(levels, pd.DatetimeIndex(WHOLE["date"]))


def test_a_benchmark_with_a_level_in_every_session_lacks_nothing():
    assert found_in(WHOLE).empty


@pytest.mark.parametrize(("last", "severity"), [(7, "warning"), (12, "error")])
def test_an_inner_gap_of_the_benchmark_is_named_with_its_length(last, severity):
    (found,) = found_in(WHOLE.drop(index=range(5, last))).to_dict("records")
    assert (found["check"], found["severity"], found["value"]) == ("benchmark_gap", severity, float(last - 5))
    assert found["date"] == WHOLE["date"][last]


def test_a_benchmark_that_begins_late_is_named_with_its_first_day():
    (found,) = found_in(WHOLE.iloc[6:]).to_dict("records")
    assert (found["check"], found["value"], found["date"]) == ("benchmark_late", 6.0, WHOLE["date"][6])
    assert "begins on 2024-01-10, 6 sessions after the bars" in found["detail"]
