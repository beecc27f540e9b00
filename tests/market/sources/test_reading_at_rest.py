"""Files that are written while their folder is read: it is read again, or refused, and never half of each."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.quality import QualityParameters
from quant_pipeline.market.sources import reading_at_rest
from quant_pipeline.market.sources.files import FilesMarketParameters, kept_observation, read_market_files
from quant_pipeline.market.sources.files.checking import check_folder
from quant_pipeline.market.sources.files.observation import observe
from quant_pipeline.market.sources.qlib import QlibSourceParameters, read_provider
from quant_pipeline.market.sources.qlib.folder import QlibFolder
from quant_pipeline.market.sources.source import MarketRequest
from tests.helpers.qlib_dump import chinese_provider

CASE = Path(__file__).parent / "cases" / "05b_yf_not_adjusted"
AUTO = FilesMarketParameters()


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch):
    monkeypatch.setattr(reading_at_rest, "PAUSE", 0.0)


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(CASE, tmp_path / "market")


@pytest.fixture
def written_meanwhile(monkeypatch):
    """Let something be written at the end of some readings, and return how often was read."""

    def begin(write, times):
        readings = []

        def reading(*asked):
            readings.append(asked)
            try:
                return observe(*asked)
            finally:
                if len(readings) <= times:
                    write()

        monkeypatch.setattr(kept_observation, "observe", reading)
        return readings

    return begin


def deliver(folder):
    """Write each file anew with a tenth of more volume, as a vendor that has corrected it."""
    for file in sorted(folder.glob("*.csv")):
        table = pd.read_csv(file)
        table["Volume"] += table["Volume"] // 10
        table.to_csv(file, index=False)


def volume_of(folder):
    return sum(pd.read_csv(file)["Volume"].sum() for file in folder.glob("*.csv"))


@pytest.mark.parametrize("cache", [None, "cache"])
def test_a_market_that_is_delivered_while_it_is_read_is_read_again(folder, tmp_path, written_meanwhile, cache):
    readings = written_meanwhile(lambda: deliver(folder), times=1)
    market = read_market_files(folder, AUTO, "latest", None if cache is None else tmp_path / cache)
    assert market.bars["volume"].sum() == volume_of(folder)
    assert len(readings) == 2


def test_what_a_half_written_file_breaks_is_no_fault_of_the_market(folder, written_meanwhile):
    renames = folder / "renames.csv"
    renames.write_text("ol")
    readings = written_meanwhile(lambda: renames.write_text("old,new\nAAA,FFF\n"), times=1)
    assert "FFF" in set(read_market_files(folder, AUTO, "latest").bars["instrument"])
    assert len(readings) == 2
    renames.write_text("ol")
    with pytest.raises(MarketDataError, match="it needs old, new"):
        read_market_files(folder, AUTO, "latest")
    assert len(readings) == 3


def test_a_delivery_without_an_end_is_one_line(folder, written_meanwhile):
    readings = written_meanwhile(lambda: deliver(folder), times=99)
    with pytest.raises(MarketDataError) as refused:
        read_market_files(folder, AUTO, "latest")
    assert refused.value.message == (
        f"files of {folder} were written while they were read (AAA.csv, BBB.csv, CCC.csv and 2 more), 3 times; run the "
        "command again when what writes them has ended"
    )
    assert len(readings) == 3
    checked = check_folder(folder, AUTO, QualityParameters())
    assert not checked.ok
    assert checked.summary["problems"] == [refused.value.message]


def test_a_log_beside_the_tables_may_be_written_at_any_time(folder, written_meanwhile):
    readings = written_meanwhile(lambda: (folder / "download.log").write_text("AAA, BBB"), times=99)
    assert read_market_files(folder, AUTO, "latest").bars["volume"].sum() == volume_of(folder)
    assert len(readings) == 1


def test_files_that_a_pattern_names_are_those_that_are_read(folder, written_meanwhile):
    for file in folder.glob("*.csv"):
        file.rename(file.with_suffix(".bars"))

    def write():
        file = folder / "AAA.bars"
        file.write_text(file.read_text().replace("3491602", "3491603"))

    readings = written_meanwhile(write, times=1)
    bars = read_market_files(folder, FilesMarketParameters(bars="*.bars"), "latest").bars
    assert (bars["volume"] == 3491603).any()
    assert len(readings) == 2


def test_a_provider_that_is_dumped_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    provider = chinese_provider(tmp_path / "cn_data").folder
    asked = QlibSourceParameters(provider_uri=str(provider))
    before = read_provider(asked, MarketRequest("latest"))
    name = str(before.bars["instrument"].iloc[-1])
    file = provider / "features" / name.lower() / "volume.day.bin"
    read, readings = QlibFolder.read, []

    def reading(self, instrument, field):
        found = read(self, instrument, field)
        readings.append(instrument)
        if instrument == name and readings.count(name) == 1:
            numbers = np.fromfile(file, dtype="<f4")
            numbers[1:] *= 2
            numbers.tofile(file)
        return found

    monkeypatch.setattr(QlibFolder, "read", reading)
    after = read_provider(asked, MarketRequest("latest"))
    of_name = before.bars["instrument"] == name
    expected = before.bars["volume"].where(~of_name, before.bars["volume"] * 2)
    np.testing.assert_allclose(after.bars["volume"], expected, rtol=1e-6)
    monkeypatch.setattr(QlibFolder, "read", lambda *asked: (file.write_bytes(file.read_bytes()), read(*asked))[1])
    with pytest.raises(MarketDataError, match="were written while they were read"):
        read_provider(asked, MarketRequest("latest"))
