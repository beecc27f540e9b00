"""The provider as Qlib itself reads it."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.datasets.qlib_provider import QlibProvider
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.qlib_provider import FIELDS, write_provider
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
from tests.helpers.other_process import other_process

END = pd.Timestamp("2021-12-31")


@pytest.fixture(scope="module")
def market():
    parameters = SimulatedMarketParameters(seed=3, n_instruments=6, start="2021-01-04", end="2021-12-31")
    return generate_market(parameters).as_of(END)


@pytest.fixture(scope="module")
def adjusted(market):
    return adjust_bars(market.bars, market.corporate_actions)


@pytest.fixture(scope="module")
def sessions():
    return TradingCalendar.of("XNYS", pd.Timestamp("2021-01-04"), END).sessions


@pytest.fixture(scope="module")
def provider(adjusted, sessions, tmp_path_factory):
    dataset = QlibProvider(filepath=str(tmp_path_factory.mktemp("market") / "qlib"))
    assert not dataset.exists()
    dataset.save({"adjusted_bars": adjusted, "sessions": pd.DataFrame({"date": sessions})})
    assert dataset.exists()
    return dataset.load()


def test_qlib_reads_every_bar(provider, adjusted, sessions):
    import qlib
    from qlib.data import D

    qlib.init(provider_uri=str(provider), clear_mem_cache=True)
    instruments = sorted(adjusted["instrument"].unique())
    assert sorted(D.list_instruments(D.instruments("all"), as_list=True)) == instruments
    assert list(pd.DatetimeIndex(D.calendar())) == list(sessions)
    read = D.features(instruments, [f"${name}" for name in FIELDS], disk_cache=0).set_axis(list(FIELDS), axis=1)
    written = adjusted.set_index(["instrument", "date"])[list(FIELDS)].astype("float32")
    traded = read.dropna(subset=["close"])
    assert len(traded) == len(written)
    np.testing.assert_array_equal(traded.sort_index().to_numpy(), written.sort_index().to_numpy())


def test_qlib_reads_the_change_from_close_to_close(provider, adjusted):
    import qlib
    from qlib.data import D

    qlib.init(provider_uri=str(provider), clear_mem_cache=True)
    name = adjusted["instrument"].iloc[0]
    read = D.features([name], ["$change", "$close/Ref($close, 1)-1"], disk_cache=0).dropna()
    assert len(read) > 200
    np.testing.assert_allclose(read.iloc[:, 0], read.iloc[:, 1], atol=3e-7)


def test_a_bar_on_a_holiday_is_refused_and_leaves_what_was_there(adjusted, sessions, tmp_path):
    folder = tmp_path / "qlib"
    write_provider(adjusted, sessions, folder)
    before = sorted(path.name for path in folder.rglob("*"))
    stray = adjusted.copy()
    stray.loc[0, "date"] = pd.Timestamp("2021-12-25")
    with pytest.raises(MarketDataError, match="2021-12-25, which is no session"):
        write_provider(stray, sessions, folder)
    assert sorted(path.name for path in folder.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["qlib"]


def test_names_that_windows_or_pandas_misread_are_written_as_qlib_reads_them(sessions, tmp_path, caplog):
    import qlib
    from qlib.data import D

    rows = dict.fromkeys(FIELDS, 1.0)
    names = ["CON", "NA", "SH600000"]
    bars = pd.DataFrame([{"date": day, "instrument": name, **rows} for name in names for day in sessions[:3]])
    write_provider(bars, sessions, tmp_path / "qlib")
    qlib.init(provider_uri=str(tmp_path / "qlib"), kernels=1, clear_mem_cache=True)
    assert D.list_instruments(D.instruments("all"), as_list=True) == ["CON", "SH600000"]
    assert len(D.features(["CON"], ["$close"], disk_cache=0).dropna()) == 3
    assert len(D.features(["NA"], ["$close"], disk_cache=0).dropna()) == 3
    assert "NA not in all.txt of the Qlib provider: Qlib takes the name for a missing value" in caplog.text


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def inodes(folder):
    return {path.relative_to(folder).as_posix(): path.stat().st_ino for path in folder.rglob("*.bin")}


def up_to(table, day):
    return table[table["date"] <= day].reset_index(drop=True)


def write_up_to(day, adjusted, sessions, market, folder):
    members = adjusted[["date", "instrument"]]
    tables = up_to(adjusted, day), sessions[sessions <= day], folder, up_to(members, day), up_to(market.benchmark, day)
    write_provider(*tables)
    return contents(folder)


def test_a_session_more_is_put_behind_what_is_there(market, adjusted, sessions, tmp_path):
    for day in sessions[[-30, -2, -1]]:
        before = inodes(tmp_path / "grown") if (tmp_path / "grown").exists() else {}
        grown = write_up_to(day, adjusted, sessions, market, tmp_path / "grown")
        assert before.items() <= inodes(tmp_path / "grown").items()
    assert grown == write_up_to(sessions[-1], adjusted, sessions, market, tmp_path / "at once")
    earlier = write_up_to(sessions[-9], adjusted, sessions, market, tmp_path / "grown")
    assert earlier == write_up_to(sessions[-9], adjusted, sessions, market, tmp_path / "at once again")


def test_an_instrument_whose_history_changed_is_written_again_and_no_other(market, adjusted, sessions, tmp_path):
    write_up_to(sessions[-2], adjusted, sessions, market, tmp_path / "qlib")
    before = inodes(tmp_path / "qlib")
    corrected = adjusted.copy()
    name = corrected["instrument"].iloc[0]
    corrected.loc[3, "close"] += 0.25
    after = write_up_to(sessions[-1], corrected, sessions, market, tmp_path / "qlib")
    changed = {path for path, inode in inodes(tmp_path / "qlib").items() if before[path] != inode}
    assert {path.split("/")[1] for path in changed} == {name.lower()}
    assert after == write_up_to(sessions[-1], corrected, sessions, market, tmp_path / "at once")


@pytest.mark.parametrize("left", [b"", b"\x00\x00"])
def test_what_a_kill_has_left_while_a_session_was_added_is_completed(market, adjusted, sessions, tmp_path, left):
    folder = tmp_path / "qlib"
    write_up_to(sessions[-2], adjusted, sessions, market, folder)
    whole = write_up_to(sessions[-1], adjusted, sessions, market, tmp_path / "whole")
    names = sorted(path for path in whole if path.endswith("close.day.bin"))
    (folder / names[0]).write_bytes(whole[names[0]])
    (folder / names[1]).write_bytes(whole[names[1]][:-2])
    (folder / names[2]).write_bytes(left)
    (folder / names[3]).unlink()
    assert write_up_to(sessions[-1], adjusted, sessions, market, folder) == whole


WRITE = """
for _ in range(10):
    write_provider(bars, sessions, Path(sys.argv[2]))
"""


def test_two_processes_that_write_the_provider_leave_the_whole_of_one(adjusted, sessions, tmp_path):
    few = adjusted[adjusted["instrument"].isin(sorted(adjusted["instrument"].unique())[:2])].reset_index(drop=True)
    few.to_parquet(tmp_path / "bars.parquet")
    imports = (
        "import sys\nfrom pathlib import Path\nimport pandas as pd\n"
        "from quant_pipeline.market.qlib_provider import write_provider\n"
        "bars = pd.read_parquet(sys.argv[1])\nsessions = pd.DatetimeIndex(sorted(bars['date'].unique()))\n"
    )
    folder = tmp_path / "market" / "qlib"
    with other_process(imports, WRITE, tmp_path / "bars.parquet", folder):
        for _ in range(10):
            write_provider(adjusted, sessions, folder)
    assert [path.name for path in folder.parent.iterdir()] == ["qlib"]
    listed = (folder / "instruments" / "all.txt").read_text().splitlines()
    stored = sorted(path.name for path in (folder / "features").iterdir())
    assert stored == sorted(line.split("\t")[0].lower() for line in listed)
    assert len(stored) in (2, 6)
    assert all(len(list(path.iterdir())) == 8 for path in (folder / "features").iterdir())


def test_members_on_dates_that_are_no_sessions_are_in_no_range(adjusted, sessions, tmp_path):
    name = adjusted["instrument"].iloc[0]
    before, after = sessions[0] - pd.Timedelta(days=4), sessions[-1] + pd.Timedelta(days=4)
    dates = [before, sessions[3], sessions[4], sessions[7], after]
    write_provider(adjusted, sessions, tmp_path / "qlib", pd.DataFrame({"date": dates, "instrument": name}))
    assert (tmp_path / "qlib" / "instruments" / "universe.txt").read_text() == (
        f"{name}\t{sessions[3]:%Y-%m-%d}\t{sessions[4]:%Y-%m-%d}\n{name}\t{sessions[7]:%Y-%m-%d}\t{sessions[7]:%Y-%m-%d}\n"
    )


def test_a_session_that_a_benchmark_has_twice_moves_no_later_one(market, adjusted, sessions, tmp_path):
    benchmark = market.benchmark.iloc[:10]
    # As many rows as sessions, one of which is there twice and one not at all.
    doubled = pd.concat([benchmark.iloc[:3], benchmark.iloc[2:5], benchmark.iloc[6:]])
    write_provider(adjusted, sessions, tmp_path / "qlib", benchmark=doubled)
    close = np.fromfile(tmp_path / "qlib" / "features" / "benchmark" / "close.day.bin", dtype="<f4")[1:]
    expected = benchmark["total_return_close"].to_numpy(dtype="<f4").copy()
    expected[5] = np.nan
    np.testing.assert_array_equal(close, expected)
