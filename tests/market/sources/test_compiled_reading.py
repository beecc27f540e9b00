"""Kernels read cells as other readers do, bit for bit, or leave the file to these."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quant_pipeline.common.numba_settings import is_compilation_off
from quant_pipeline.market.sources.files import FilesMarketParameters, reading_together
from quant_pipeline.market.sources.files.kernels import cells
from quant_pipeline.market.sources.files.kernels.entries import count_rows, read_rows
from quant_pipeline.market.sources.files.observation import observe
from quant_pipeline.market.sources.files.parsing import read_file
from quant_pipeline.market.sources.files.reading_together import read_together
from quant_pipeline.market.sources.files.rooms import Rooms
from tests.helpers.bar_texts import HEADER, rows

CASES = Path(__file__).parent / "cases"
AUTO = FilesMarketParameters()
PLAIN = "\n".join([HEADER, *rows()]) + "\n"
DAYS = pd.date_range("1700-01-02", "2199-12-31", unit="s").astype("datetime64[ns]")
if is_compilation_off():
    DAYS = DAYS[-40_000::7]


def read_lines(text, *kinds):
    """Read the lines of one file; return its facts, numbers and days."""
    content = np.frombuffer(bytearray(text.encode()), dtype=np.uint8)
    files = np.zeros((1, cells.N_FACTS), dtype=np.int64)
    files[0, cells.STOP] = len(content)
    count_rows(content, files)
    n_rows = files[0, cells.ROWS]
    columns = np.array([(kind, place) for place, kind in enumerate(kinds)])
    numbers, days = np.zeros((len(kinds), n_rows)), np.zeros(n_rows, dtype=np.int64)
    read_rows(content, files, columns, ord(","), numbers, days)
    return files[0], numbers, days.view("datetime64[ns]")


def is_read(text, *kinds):
    return read_lines(text, *kinds)[0][cells.IS_READ] == 1


def require_nearest(text):
    facts, numbers, _ = read_lines(f"{text}\n", cells.NUMBER)
    if facts[cells.IS_READ]:
        assert numbers[0].view(np.int64).tolist() == np.array([float(text)]).view(np.int64).tolist(), text
    return bool(facts[cells.IS_READ])


@given(st.decimals(min_value=-(10**12), max_value=10**12, allow_nan=False, allow_infinity=False))
@example("9007199254740993.5")
@example("0.3000000000000000166")
@example("4503599627370496.5")
@example("16.00000000000000000")
@example("15.9999999999999982")
@example("-0.0")
@example("0")
def test_a_number_is_the_float_that_is_nearest_to_it(number):
    require_nearest(number if isinstance(number, str) else f"{number:f}")


@given(st.floats(min_value=1e-3, max_value=1e9), st.floats(min_value=2.0**-3, max_value=2.0**20, width=32))
def test_floats_are_read_as_python_writes_them(double, single):
    for value in (round(double, 6), single):
        assert require_nearest(f"{value:.17f}".rstrip("0")[:19].rstrip(".")), value
    require_nearest(repr(double))


@given(st.integers(0, 2**53), st.integers(1, 18))
def test_a_number_halfway_between_two_floats_goes_to_the_even_one(number, after):
    digits = str(number).zfill(after + 1)
    require_nearest(f"{digits[:-after]}.{digits[-after:]}5")


ODD_NUMBERS = (
    "", "-", ".", ".5", "5.", "+5", " 5", "5 ", "1e3", "nan", "inf", "0x1", "1_0", "1.2.3", "--1", "1\0", "12a", "１",
    "1234567890123456789", "0.1234567890123456789", "NULL",
)  # fmt: skip


@pytest.mark.parametrize("text", ODD_NUMBERS)
def test_a_number_that_is_written_in_another_way_is_left_to_others(text):
    assert is_read("1,2\n3,4\n", cells.NUMBER, cells.NUMBER)
    assert not is_read(f"1,2\n{text},4\n", cells.NUMBER, cells.NUMBER)
    assert not is_read(f"1,2\n3,{text}\n", cells.NUMBER, cells.NUMBER)
    assert not is_read(f"1,2\n3,{text}", cells.NUMBER, cells.NUMBER)


def test_what_may_not_be_below_zero_is_left_to_others_and_no_ratio_is_one():
    for kind in (cells.AMOUNT, cells.RATIO):
        assert not is_read("1\n-2\n", kind)
    assert read_lines("0\n2\n-0.0\n", cells.RATIO)[1].tolist() == [[1.0, 2.0, 1.0]]
    assert np.signbit(read_lines("-0.0\n", cells.AMOUNT)[1]).all()


def test_every_day_is_read_in_both_forms_and_no_other_one():
    for form, first in (("%Y-%m-%d", "1700-01-02"), ("%Y%m%d", "1800-01-02")):
        days = DAYS[first <= DAYS]
        facts, _, read = read_lines("\n".join(days.strftime(form)), cells.DATE)
        assert facts[cells.IS_READ]
        assert (read == days.to_numpy()).all()


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29", "1900-02-29", "2024-13-01", "2024-00-01", "2024-01-00", "2024-01-32", "2024-04-31", "2024-1-01",
        "1700-01-01", "2200-01-01", "2024/01/01", "2024-01-01T", "2024-01-0a", "20240101", "24-01-01", "2024-01-1 ", "",
        "2024-01-0", "-024-01-01", "9999-99-99",
    ],
)  # fmt: skip
def test_a_text_that_is_no_date_of_the_form_of_the_others_is_left_to_others(text):
    assert not is_read(f"2024-01-01,1\n{text},1\n", cells.DATE, cells.NUMBER)
    assert not is_read(f"{text}x,1\n", cells.DATE, cells.NUMBER)


@pytest.mark.parametrize("text", ["20230229", "2023-2-28", "18000101", "22000101", "2024010", "202401011", "2024010 "])
def test_a_compact_date_that_is_none_is_left_to_others(text):
    assert not is_read(f"20240101\n{text}\n", cells.DATE)


@pytest.mark.parametrize("cell", [" x", '"x"', "x\0", "x\ry", "x,y", "x\n"])
def test_a_text_with_a_sign_that_means_something_is_left_to_others(cell):
    kinds = cells.IGNORED, cells.NUMBER
    assert is_read("x y,1\r\n,2\nä,3", *kinds)
    assert not is_read(f"x,1\n{cell},2\n", *kinds)


def test_a_file_of_several_names_and_a_time_of_the_day_are_left_to_others():
    facts, _, _ = read_lines("7,AAA,000000\n8,AAA,000000\n", cells.NUMBER, cells.NAME, cells.MIDNIGHT)
    assert facts[cells.IS_READ]
    assert (facts[cells.NAME_START], facts[cells.NAME_STOP]) == (2, 5)
    for line in ("8,AAB,000000", "8,AA,000000", "8,AAAA,000000", "8,AAA,000001", "8,AAA,00000", "8,AAA,"):
        assert not is_read(f"7,AAA,000000\n{line}\n", cells.NUMBER, cells.NAME, cells.MIDNIGHT)


@pytest.mark.parametrize(
    "text", ["1,2\n\n3,4\n", "1,2\n3\n", "1,2\n3,4,5\n", "1,2\n3,", "1,2\n3,4\r", "1,2\n\n", "\n1,2"]
)
def test_lines_of_other_cells_are_left_to_others(text):
    assert not is_read(text, cells.NUMBER, cells.NUMBER)


def write(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, content in enumerate(contents):
        files.append(folder / f"A{number}.csv")
        files[-1].write_text(content, newline="")
    return files


def test_a_file_that_kernels_do_not_know_leaves_its_group_to_them(tmp_path, monkeypatch):
    exponent = PLAIN.replace(",99.5,", ",9.95e1,", 1)
    files = write(tmp_path, [PLAIN, exponent, PLAIN[:-1], PLAIN, exponent])
    by_others = read_together(files[1::3], tmp_path, AUTO)
    monkeypatch.setattr(reading_together, "plain_cells", lambda *arguments: None)
    assert list(read_together(files, tmp_path, AUTO, rooms=Rooms())) == [files[0], *files[2:4]]
    assert list(by_others) == files[1::3]


TUSHARE = "ts_code,trade_date,open,high,low,close,pre_close,change,pct_chg,vol,amount"


def test_names_and_units_of_columns_are_those_of_a_file_alone(tmp_path):
    days = pd.bdate_range("2024-01-02", periods=30)
    files = []
    for code in (" 600000.SH", "000001.SZ ", "000001.SZ", ""):
        lines = [f"{code.strip()},{day:%Y%m%d},10.5,11,10,10.25,10.1,0.15,1.4,{k},{k}.5" for k, day in enumerate(days)]
        files += write(tmp_path / f"of {code}", ["\n".join([TUSHARE, *lines])])
    found = read_together(files, tmp_path, AUTO, rooms=Rooms())
    assert list(found) == files
    for file, reading in found.items():
        pd.testing.assert_frame_equal(reading.rows, read_file(file, tmp_path, AUTO).rows, check_exact=True)


@pytest.mark.parametrize(
    "case",
    [
        "05_yf_auto_adjusted_dividends", "05b_yf_not_adjusted", "06_yf_split_not_applied", "08_dividend_only_row",
        "09_null_rows", "24_tushare", "25_akshare", "26b_tickers_files", "34_us_txt", "39_split_text",
        "58_exact_duplicate_rows",
    ],
)  # fmt: skip
def test_a_folder_is_the_same_market_by_kernels(monkeypatch, case):
    expected = observe(CASES / case, AUTO)
    monkeypatch.setattr(reading_together, "WORTH_KERNELS", 0)
    found = observe(CASES / case, AUTO)
    assert (found.problems, found.layouts, found.adjusted) == (expected.problems, expected.layouts, expected.adjusted)
    pd.testing.assert_frame_equal(found.findings, expected.findings)
    pd.testing.assert_frame_equal(found.rows, expected.rows, check_exact=True)


def test_few_files_and_a_process_without_compilation_load_no_kernels(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    files = write(tmp_path, [PLAIN] * 3)
    assert not reading_together.are_worth_kernels(files)
    monkeypatch.setattr(reading_together, "WORTH_KERNELS", 3 * len(PLAIN))
    assert reading_together.are_worth_kernels(files)
    assert not reading_together.are_worth_kernels(files[1:])
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert not reading_together.are_worth_kernels(files)
