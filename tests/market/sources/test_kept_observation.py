"""A folder that was read whole is not read again, and what is kept of it never differs from a reading."""

import dataclasses
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from quant_pipeline.market.sources.files import FilesMarketParameters, kept_observation
from quant_pipeline.market.sources.files.kept_observation import FILE, observe_once
from quant_pipeline.market.sources.files.observation import observe

CASES = Path(__file__).parent / "cases"
AUTO = FilesMarketParameters()
NEW_YORK = FilesMarketParameters(calendar="XNYS")


def require_same(one, other):
    for field in dataclasses.fields(one):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if isinstance(first, pd.DataFrame):
            pd.testing.assert_frame_equal(first, second, check_exact=True)
        else:
            assert first == second, field.name


@pytest.fixture
def readings(monkeypatch):
    """Return the list of the calendars for which folders were read."""
    asked = []

    def reading(folder, options, cache=None):
        asked.append(options.calendar)
        return observe(folder, options, cache)

    monkeypatch.setattr(kept_observation, "observe", reading)
    return asked


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(CASES / "05b_yf_not_adjusted", tmp_path / "market")


@pytest.mark.parametrize(
    "case",
    ["05_yf_auto_adjusted_dividends", "14_wiki_split", "24_tushare", "30c_securities_beside", "30e_benchmark_beside",
     "36_xlsx", "37_suspension_zero_prices", "72_delisted_stops"],
)  # fmt: skip
def test_what_is_kept_is_what_a_reading_gives(tmp_path, readings, case):
    expected = observe(CASES / case, AUTO)
    require_same(observe_once(CASES / case, AUTO, tmp_path), expected)
    require_same(observe_once(CASES / case, AUTO, tmp_path), expected)
    assert readings == [AUTO.calendar]


def test_the_calendar_that_was_found_may_be_named_and_another_one_is_read_by(tmp_path, folder, readings):
    for options in (AUTO, NEW_YORK, NEW_YORK, AUTO):
        require_same(observe_once(folder, options, tmp_path / "cache"), observe(folder, options))
    assert readings == ["auto"]
    observe_once(folder, FilesMarketParameters(calendar="XLON"), tmp_path / "cache")
    observe_once(folder, AUTO, tmp_path / "cache")
    assert readings == ["auto", "XLON", "auto"]


@pytest.mark.parametrize("change", ["longer", "newer", "more", "fewer", "beside", "option"])
def test_other_files_and_other_options_are_read(tmp_path, folder, readings, change):
    beside = tmp_path / "names.csv"
    beside.write_text("symbol,name,sector\n" + "".join(f"{file.stem},x,y\n" for file in folder.glob("*.csv")))
    options = FilesMarketParameters(securities=str(beside))
    observe_once(folder, options, tmp_path / "cache")
    file = min(folder.glob("*.csv"))
    if change == "longer":
        file.write_text(file.read_text() + "\n")
    elif change == "newer":
        os.utime(file, ns=(1, 1))
    elif change == "more":
        (folder / "notes.json").write_text("{}")
    elif change == "fewer":
        file.unlink()
    elif change == "beside":
        beside.write_text(beside.read_text().replace("x", "another name"))
    else:
        options = FilesMarketParameters(securities=str(beside), price_unit=0.01)
    require_same(observe_once(folder, options, tmp_path / "cache"), observe(folder, options))
    assert len(readings) == 2


def test_wrong_files_and_bars_of_a_session_that_goes_on_are_read_each_time(tmp_path, folder, readings, monkeypatch):
    file = min(folder.glob("*.csv"))
    text = file.read_text()
    file.write_text(text.replace(",30.0566,", ",-5,", 1))
    for _ in range(2):
        assert observe_once(folder, AUTO, tmp_path / "cache").problems
    file.write_text(text)
    monkeypatch.setattr(kept_observation, "_PASSING", ("no_actions",))
    own = shutil.copytree(CASES / "53_dividend_text", tmp_path / "own")
    for _ in range(2):
        assert "no_actions" in set(observe_once(own, AUTO, tmp_path / "cache").findings["check"])
    assert len(readings) == 4
    assert not (tmp_path / "cache" / FILE).exists()


def test_a_damaged_file_and_other_code_have_the_folder_read(tmp_path, folder, readings, monkeypatch):
    expected = observe_once(folder, AUTO, tmp_path / "cache")
    kept = tmp_path / "cache" / FILE
    kept.write_bytes(kept.read_bytes()[:300])
    require_same(observe_once(folder, AUTO, tmp_path / "cache"), expected)
    monkeypatch.setattr(kept_observation, "versions_of_reading", lambda: ["of a later version"])
    require_same(observe_once(folder, AUTO, tmp_path / "cache"), expected)
    assert readings == ["auto"] * 3
    require_same(observe_once(folder, AUTO, None), expected)
    assert len(readings) == 4


@pytest.mark.parametrize("place", [0.25, 0.5, 0.75])
def test_what_was_kept_and_has_lost_a_part_is_not_believed(tmp_path, folder, readings, place):
    expected = observe_once(folder, NEW_YORK, tmp_path / "cache")
    kept = tmp_path / "cache" / FILE
    content = kept.read_bytes()
    first = int(len(content) * place)
    kept.write_bytes(content[:first] + bytes(500) + content[first + 500 :])
    require_same(observe_once(folder, NEW_YORK, tmp_path / "cache"), expected)
    assert len(readings) == 2


def test_a_correction_of_the_same_length_that_sets_the_time_back_is_read(tmp_path, folder, readings):
    observe_once(folder, NEW_YORK, tmp_path / "cache")
    file = min(folder.glob("*.csv"))
    status, text = file.stat(), file.read_text()
    file.write_text(text.replace(",30.0566,", ",30.0565,", 1))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_size == status.st_size
    require_same(observe_once(folder, NEW_YORK, tmp_path / "cache"), observe(folder, NEW_YORK))
    assert len(readings) == 2


@pytest.mark.parametrize(
    "bars", ["{elsewhere}", "{elsewhere}/*.csv", "../elsewhere/*.csv", "linked", "linked/*.csv", ".export/*.csv"]
)
def test_bars_that_lie_elsewhere_are_read_when_they_change(tmp_path, folder, bars):
    elsewhere = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    shutil.copytree(folder, folder / ".export")
    (folder / "linked").symlink_to(elsewhere)
    options = FilesMarketParameters(bars=bars.format(elsewhere=elsewhere))
    before = observe_once(folder, options, tmp_path / "cache")
    for place in (elsewhere, folder / ".export"):
        file = min(place.glob("*.csv"))
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    after = observe_once(folder, options, tmp_path / "cache")
    assert len(after.rows) == len(before.rows) - 1
    require_same(after, observe(folder, options))


def test_what_is_kept_inside_the_folder_is_no_bars(folder):
    options = FilesMarketParameters(bars="**/*")
    for path in folder.iterdir():
        if path.suffix != ".csv":
            path.unlink()
    expected = observe(folder, options)
    for _ in range(2):
        require_same(observe_once(folder, options, folder / ".cache"), expected)


def test_where_nothing_can_be_kept_the_folder_is_read_each_time(tmp_path, folder, readings, caplog):
    (tmp_path / "cache" / FILE).mkdir(parents=True)
    for _ in range(2):
        require_same(observe_once(folder, AUTO, tmp_path / "cache"), observe(folder, AUTO))
    assert len(readings) == 2
    assert "what was read of the files is not kept" in caplog.text


def test_values_lie_in_what_is_kept_so_that_only_copies_of_them_are_changed(tmp_path, folder, readings):
    first = observe_once(folder, NEW_YORK, tmp_path)
    rows = observe_once(folder, NEW_YORK, tmp_path).rows
    assert len(readings) == 1
    with pytest.raises(ValueError, match="read-only"):
        rows.loc[rows.index[:2], ["close", "volume"]] = 1.0
    changed = rows.copy()
    changed.loc[changed.index[:2], ["close", "volume"]] = 1.0
    assert changed["close"].head(2).tolist() == [1.0, 1.0]
    require_same(observe_once(folder, NEW_YORK, tmp_path), first)


def test_what_was_read_stays_when_its_file_is_replaced_or_deleted(tmp_path, folder, readings):
    expected = observe_once(folder, NEW_YORK, tmp_path / "cache")
    kept = observe_once(folder, NEW_YORK, tmp_path / "cache")
    assert len(readings) == 1
    file = min(folder.glob("*.csv"))
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    assert len(observe_once(folder, NEW_YORK, tmp_path / "cache").rows) == len(expected.rows) - 1
    require_same(kept, expected)
    shutil.rmtree(tmp_path / "cache")
    require_same(kept, expected)


def test_columns_that_no_file_states_are_not_kept(folder):
    rows = observe(folder, NEW_YORK).rows
    assert rows.columns.tolist() == [
        "date", "instrument", "open", "high", "low", "close", "volume", "dividend", "split", "vendor_adjusted_close",
    ]  # fmt: skip
    for file in folder.glob("*.csv"):
        table = pd.read_csv(file)
        table.drop(columns="Adj Close").to_csv(file, index=False)
    assert "vendor_adjusted_close" not in observe(folder, NEW_YORK).rows
