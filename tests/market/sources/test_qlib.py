"""Providers of Qlib as a market: what Qlib itself reads, what a dump by Qlib's tools holds, what is refused."""

import logging
import re

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError, MarketDataError
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.qlib_provider import write_provider
from quant_pipeline.market.schemas import BARS_SCHEMA, CORPORATE_ACTIONS_SCHEMA, INSTRUMENTS_SCHEMA
from quant_pipeline.market.sources.qlib import QlibSourceParameters, read_provider
from quant_pipeline.market.sources.qlib.reading import facts_of
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
from quant_pipeline.market.sources.source import MarketRequest
from quant_pipeline.market.universe import UniverseParameters, select_universe
from tests.helpers.qlib_dump import PRICES, chinese_provider, dump, write_universe

FLOAT32 = 3e-7


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    return chinese_provider(tmp_path_factory.mktemp("qlib") / "cn_data")


def read(folder, as_of="latest", **options):
    return read_provider(QlibSourceParameters(provider_uri=str(folder), **options), MarketRequest(as_of))


@pytest.fixture(scope="module")
def market(provider):
    return read(provider.folder)


def of(bars, name):
    return bars[bars["instrument"] == name].reset_index(drop=True)


def test_prices_are_those_that_were_traded_to_the_last_decimal(provider, market):
    for name, traded in provider.traded.items():
        if name == "SH000300":
            continue
        bars = of(market.bars, name)
        pd.testing.assert_frame_equal(bars[["date", *PRICES]], traded.bars[["date", *PRICES]], check_exact=True)
        np.testing.assert_allclose(bars["volume"], traded.bars["volume"], rtol=FLOAT32)


def test_tables_fit_the_schemas(market):
    BARS_SCHEMA.validate(market.bars)
    CORPORATE_ACTIONS_SCHEMA.validate(market.corporate_actions)
    INSTRUMENTS_SCHEMA.validate(market.instruments)


def test_qlib_itself_reads_the_same_prices_returns_and_volumes(provider, market):
    import qlib
    from qlib.data import D

    qlib.init(provider_uri=str(provider.folder), region="cn", kernels=1, logging_level=logging.ERROR)
    names = sorted(market.bars["instrument"].unique())
    fields = [*(f"${name}/$factor" for name in PRICES), "$volume*$factor", "$close/Ref($close, 1)-1"]
    theirs = D.features(names, fields, disk_cache=0).set_axis([*PRICES, "volume", "return"], axis=1)
    theirs = theirs.dropna(subset=["close"])
    ours = market.bars.set_index(["instrument", "date"])
    assert list(ours.index) == list(theirs.index)
    np.testing.assert_allclose(ours[[*PRICES, "volume"]], theirs[[*PRICES, "volume"]], rtol=FLOAT32)
    adjusted = adjust_bars(market.bars, market.corporate_actions)
    returns = adjusted.groupby("instrument")["close"].pct_change().to_numpy()
    known = theirs["return"].notna().to_numpy()
    np.testing.assert_allclose(returns[known], theirs["return"][known], rtol=0, atol=2e-6)


def test_splits_and_dividends_stand_in_the_steps_of_the_factor(provider, market):
    actions = market.corporate_actions.set_index(["instrument", "kind"])
    assert list(actions.index) == [("SH600000", "cash_dividend"), ("SZ002415", "cash_dividend"), ("SZ002415", "split")]
    assert actions.loc[("SZ002415", "split"), "value"] == 1.5
    assert actions["date"].dt.strftime("%Y-%m-%d").tolist() == ["2018-07-13", "2019-05-15", "2019-05-15"]
    # The dividend that makes the return of the session that of $close: 0.35 times what the share gained on that day.
    bars = of(market.bars, "SH600000").set_index("date")["close"]
    gained = bars["2018-07-13"] / (bars["2018-07-12"] - 0.35)
    assert actions.loc[("SH600000", "cash_dividend"), "value"] == pytest.approx(0.35 * gained, rel=1e-4)


def test_suspended_sessions_are_absent_and_listings_begin_and_end_with_their_bars(market):
    bars = of(market.bars, "SZ300750")
    assert not bars["date"].between("2019-03-04", "2019-03-22").any()
    listed = market.instruments.set_index("instrument")["listed"]
    assert f"{listed['SH688111']:%Y-%m-%d}" == "2019-07-22"
    assert f"{of(market.bars, 'SH600087')['date'].max():%Y-%m-%d}" == "2019-06-05"


def test_the_index_of_the_universe_is_the_benchmark_and_no_instrument(provider, market):
    assert "SH000300" not in set(market.bars["instrument"])
    truth = provider.traded["SH000300"].bars
    np.testing.assert_array_equal(market.benchmark["close"], truth["close"])
    np.testing.assert_array_equal(market.benchmark["total_return_close"], truth["close"])


def test_a_named_universe_reads_its_instruments_only_and_its_ranges_say_who_is_a_member(provider):
    market = read(provider.folder, universe="csi300")
    assert sorted(market.bars["instrument"].unique()) == ["SH600000", "SH600087", "SH600519", "SZ000001", "SZ300750"]
    members = select_universe(market.bars, market.instruments, UniverseParameters(name="csi300"), market.universes)
    days = members[members["instrument"] == "SH600519"]["date"]
    assert days.max() == pd.Timestamp("2019-12-31")
    assert not days.between("2018-12-15", "2019-06-16").any()
    assert len(days) == 233 + 136
    # What has bars but is in no range of the universe yet is no member.
    assert members[members["instrument"] == "SZ300750"]["date"].min() == pd.Timestamp("2018-06-11")
    assert market.findings.set_index("check").loc["no_bars", "instrument"] == "SH601989"


def test_the_last_day_of_the_calendar_is_the_session_whatever_day_future_says(provider):
    facts = facts_of(QlibSourceParameters(provider_uri=str(provider.folder), universe="csi300"))
    assert (facts["as_of"], facts["calendar"], len(facts["sessions"])) == ("2019-12-31", "XSHG", 487)


def test_nothing_later_than_the_session_is_read(provider):
    market = read(provider.folder, "2019-05-14")
    assert market.bars["date"].max() == pd.Timestamp("2019-05-14")
    assert market.benchmark["date"].max() == pd.Timestamp("2019-05-14")
    assert market.corporate_actions["instrument"].tolist() == ["SH600000"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"universe": "csi30"}, "has no universe 'csi30'; there are all, csi300; did you mean 'csi300'?"),
        ({"benchmark": "SH000905"}, "has no bars of the benchmark 'SH000905'; it has SH000300; correct `benchmark`"),
        (
            {"as_of": "2017-12-29"},
            "has no bars of the universe 'all' up to 2017-12-29; its calendar goes from 2018-01-02",
        ),
    ],
)
def test_what_is_not_there_is_named_in_one_line_with_what_is(provider, options, words):
    with pytest.raises(MarketDataError) as raised:
        read(provider.folder, **options)
    assert words in raised.value.message
    assert "\n" not in raised.value.message


def test_a_folder_that_is_no_provider_says_what_it_is(provider, tmp_path):
    minutes = tmp_path / "minutes"
    (minutes / "calendars").mkdir(parents=True)
    (minutes / "calendars/1min.txt").write_text("2019-12-31 09:31:00\n")
    for folder, words in (
        (tmp_path / "nowhere", "there is no such folder; correct `provider_uri`"),
        (provider.folder.parent, f"one lies below it, {provider.folder}"),
        (minutes, "it has no calendars/day.txt, only 1min, and daily bars are needed"),
        (tmp_path, "it has no calendars/day.txt"),
    ):
        with pytest.raises(MarketDataError) as raised:
            read(folder)
        assert words in raised.value.message


@pytest.fixture
def small(provider, tmp_path):
    """A copy of three shares that a test may damage."""

    def make(**changes):
        tables = {name: provider.tables[name].copy() for name in ("SH600000", "SZ000001", "SH600519")}
        for name, change in changes.items():
            tables[name] = change(tables[name])
        dump(tmp_path / "small", tables, provider.sessions)
        return tmp_path / "small"

    return make


def test_a_missing_factor_is_refused_left_out_or_taken_as_traded(small):
    folder = small(SZ000001=lambda table: table.drop(columns="factor"))
    with pytest.raises(
        MarketDataError, match=r"SZ000001: has no field factor \(there are change, close, high, low, op"
    ):
        read(folder)
    assert sorted(read(folder, missing_factor="leave_out").bars["instrument"].unique()) == ["SH600000", "SH600519"]
    bars = of(read(folder, missing_factor="as_traded").bars, "SZ000001")
    assert bars["close"].iloc[0] == 1.0


def test_a_bar_without_a_factor_is_a_problem_with_its_day(small):
    folder = small(SZ000001=lambda table: table.assign(factor=table["factor"].where(table.index != "2018-03-01")))
    with pytest.raises(MarketDataError, match="factor nan of a bar is no positive number"):
        read(folder)
    left = of(read(folder, on_problem="leave_out").bars, "SZ000001")
    assert len(left) == 486
    assert pd.Timestamp("2018-03-01") not in set(left["date"])


def test_a_missing_field_is_named_with_those_that_exist(small):
    folder = small(SH600000=lambda table: table.drop(columns=["volume", "open"]))
    with pytest.raises(
        MarketDataError, match="SH600000: has no field open, volume; there are change, close, factor, hi"
    ):
        read(folder)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[:-2], "bytes, which are no whole numbers of four"),
        (lambda content: np.float32(-3).tobytes() + content[4:], "begins with -3, which is no place in the calendar"),
        (
            lambda content: np.float32(2).tobytes() + content[4:],
            "reaches 2 days beyond the calendar, which ends on 2019",
        ),
    ],
)
def test_a_damaged_file_is_named(small, damage, words):
    folder = small()
    file = folder / "features/sh600000/close.day.bin"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(MarketDataError, match=words):
        read(folder)


@pytest.mark.parametrize("name", ["calendars/day.txt", "instruments/all.txt"])
def test_a_list_in_another_encoding_is_named(small, name):
    folder = small()
    (folder / name).write_bytes((folder / name).read_text().encode("utf-16"))
    with pytest.raises(MarketDataError, match=r"\.txt is no text in UTF-8 \(byte 0\)"):
        read(folder)


def test_a_field_without_numbers_loses_no_instrument(small):
    folder = small()
    (folder / "features/sh600000/close.day.bin").write_bytes(b"")
    with pytest.raises(MarketDataError, match="SH600000: holds no number in field close; dump it again"):
        read(folder)


def test_a_negative_volume_is_refused(small):
    folder = small()
    file = folder / "features/sh600000/volume.day.bin"
    content = file.read_bytes()
    file.write_bytes(content[:40] + np.float32(-5).tobytes() + content[44:])
    with pytest.raises(MarketDataError, match=r"volume -.* is no volume"):
        read(folder)


def test_a_name_that_is_a_path_is_refused_and_nothing_outside_is_read(small):
    folder = small()
    write_universe(folder, "mine", [("SH600000", "2018-01-02", "2019-12-31"), ("../../x", "2018-01-02", "2019-12-31")])
    with pytest.raises(MarketDataError, match="holds a sign that names of files cannot have"):
        read(folder, universe="mine")
    left = read(folder, universe="mine", on_problem="leave_out")
    assert left.bars["instrument"].unique().tolist() == ["SH600000"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("SH600000 2018-01-02 2019-12-31", "no instrument with its first and last day"),
        ("SH600000\t2018-13-02\t2019-12-31", "is no date"),
    ],
)
def test_a_line_of_a_universe_that_cannot_be_read_is_named(small, line, words):
    folder = small()
    (folder / "instruments/mine.txt").write_text(f"SZ000001\t2018-01-02\t2019-12-31\n{line}\n")
    with pytest.raises(MarketDataError, match=rf"mine\.txt, row 2: .*{words}"):
        read(folder, universe="mine")


def test_a_universe_that_ends_in_the_year_9999_goes_on_and_a_session_of_that_year_is_none(small):
    folder = small()
    for name, end in (("open", "9999-12-31"), ("known", "2199-12-31")):
        write_universe(folder, name, [("SH600000", "2018-01-02", end)])
    pd.testing.assert_frame_equal(read(folder, universe="open").bars, read(folder, universe="known").bars)
    calendar = folder / "calendars/day.txt"
    calendar.write_text(calendar.read_text() + "9999-12-31\n")
    with pytest.raises(MarketDataError, match=r"day\.txt holds '9999-12-31', which is no date"):
        read(folder)


@pytest.mark.parametrize("zone", ["T00:00:00Z", " 00:00:00+08:00", "Z", " 00:00-0500"])
@pytest.mark.parametrize("lines", ["first", "last", "all"])
def test_a_day_with_a_zone_is_none_and_is_named_with_its_file(small, zone, lines):
    folder = small()
    calendar = folder / "calendars/day.txt"
    days = calendar.read_text().split()
    chosen = {"first": days[:1], "last": days[-1:], "all": days}[lines]
    calendar.write_text("\n".join(day + zone if day in chosen else day for day in days))
    with pytest.raises(MarketDataError, match=rf"day\.txt holds '{re.escape(chosen[0] + zone)}', which is no date"):
        read(folder)
    calendar.write_text("\n".join(f"{day} 00:00:00" for day in days))
    write_universe(folder, "mine", [("SH600000", "2018-01-02", f"2019-12-31{zone}")])
    with pytest.raises(MarketDataError, match=r"mine\.txt, row 1: .* is no date"):
        read(folder, universe="mine")


def test_a_vendor_that_rounds_its_adjusted_closes_pays_no_dividend_every_day(small):
    rng = np.random.default_rng(1)

    def rounded(table):
        return table.assign(factor=table["factor"] * (1 + rng.normal(0, 3e-5, len(table))))

    market = read(small(SH600519=rounded))
    derived = market.corporate_actions[market.corporate_actions["instrument"] == "SH600519"]
    assert len(derived) < 10
    assert derived["value"].max() < 0.001 * 700


def test_bars_off_the_exchange_calendar_are_left_out_and_listed(small, provider):
    folder = small()
    text = (folder / "calendars/day.txt").read_text().replace("2018-02-14", "2018-02-17")
    (folder / "calendars/day.txt").write_text("\n".join(sorted(text.split())))
    market = read(folder, calendar="XSHG")
    assert set(market.findings.loc[market.findings["check"] == "no_session", "date"]) == {pd.Timestamp("2018-02-17")}


class TestOfOurOwn:
    """A provider that the project has written is a market again."""

    END = pd.Timestamp("2022-12-30")

    @pytest.fixture(scope="class")
    @classmethod
    def simulated(cls):
        parameters = SimulatedMarketParameters(
            seed=7, n_instruments=30, start="2018-01-02", end="2022-12-30", halt_rate=0.005
        )
        return generate_market(parameters).as_of(cls.END)

    @pytest.fixture(scope="class")
    @classmethod
    def again(cls, simulated, tmp_path_factory):
        adjusted = adjust_bars(simulated.bars, simulated.corporate_actions)
        sessions = pd.DatetimeIndex(np.sort(simulated.bars["date"].unique()))
        members = select_universe(simulated.bars, simulated.instruments, UniverseParameters(min_listing_sessions=60))
        folder = tmp_path_factory.mktemp("own") / "qlib"
        write_provider(adjusted, sessions, folder, members, simulated.benchmark)
        return read(folder, universe="universe"), members

    def test_bars_are_the_same(self, simulated, again):
        names = ["date", "instrument", *PRICES]
        ours = simulated.bars[simulated.bars["instrument"].isin(again[0].bars["instrument"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(again[0].bars[names], ours[names], check_exact=False, rtol=FLOAT32)

    def test_splits_and_dividends_are_the_same(self, simulated, again):
        truth = simulated.corporate_actions[simulated.corporate_actions["kind"] != "delisting"]
        bars = simulated.bars
        first = bars.groupby("instrument")["date"].min()
        seen = truth[truth["date"] > truth["instrument"].map(first)]
        # An action of a halted session shows on the next bar.
        both = bars.merge(seen, on=["date", "instrument"])
        found = again[0].corporate_actions.merge(both, on=["date", "instrument", "kind"], suffixes=("", "_true"))
        assert len(found) == len(both) > 30
        np.testing.assert_allclose(found["value"], found["value_true"], rtol=2e-3, atol=2e-5)
        splits = found["kind"] == "split"
        assert splits.any()
        np.testing.assert_array_equal(found.loc[splits, "value"], found.loc[splits, "value_true"])

    def test_the_benchmark_and_the_members_are_the_same(self, simulated, again):
        market, members = again
        for name in ("close", "total_return_close"):
            np.testing.assert_allclose(market.benchmark[name], simulated.benchmark[name], rtol=FLOAT32)
        selected = select_universe(
            market.bars, market.instruments, UniverseParameters(name="universe"), market.universes
        )
        pd.testing.assert_frame_equal(selected, members)


def test_a_universe_that_the_market_does_not_have_is_refused(provider):
    market = read(provider.folder)
    for known, words in (
        (market.universes, "the market has no universe 'csi300': it has all"),
        (None, "the market has no universe 'csi300': its market source has none; leave `universe.name` out"),
    ):
        with pytest.raises(ConfigurationError) as raised:
            select_universe(market.bars, market.instruments, UniverseParameters(name="csi300"), known)
        assert raised.value.message == words


def test_a_saturday_that_was_added_to_the_calendar_is_no_session(tmp_path):
    made = chinese_provider(tmp_path / "made")
    days = made.sessions.append(pd.DatetimeIndex(["2019-02-16", "2020-01-04"]).as_unit("ns")).sort_values()
    names = ("SH600519", "SH601398")
    tables = {name: made.tables[name].reindex(days).ffill() for name in names}
    tables["SH601398"]["factor"] *= np.where(days >= "2019-02-16", 1.013, 1.0)
    dump(tmp_path / "cn", tables, days)
    facts = facts_of(QlibSourceParameters(provider_uri=str(tmp_path / "cn")))
    assert (facts["as_of"], facts["calendar"]) == ("2019-12-31", "XSHG")
    assert "2019-02-16" not in facts["sessions"]
    market = read(tmp_path / "cn")
    assert market.as_of == pd.Timestamp("2019-12-31")
    assert sorted(market.bars["date"].unique()) == list(made.sessions)
    assert market.findings["check"].tolist() == ["no_session", "no_session", "derived_dividend"]
    # What the added day would have paid is paid on the next session.
    assert market.corporate_actions["date"].tolist() == [pd.Timestamp("2019-02-18")]


@pytest.mark.parametrize("on_problem", ["refuse", "leave_out"])
def test_a_calendar_of_another_exchange_is_refused_whatever_is_left_out(provider, on_problem):
    with pytest.raises(MarketDataError, match="are no sessions of XNYS"):
        read(provider.folder, calendar="XNYS", on_problem=on_problem)
