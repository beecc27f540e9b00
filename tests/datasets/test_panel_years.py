"""The years of a panel as files: what they keep, how they are laid out, and those that other programs wrote."""

import json
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.datasets.panel import MANIFEST, YearlyPanel
from quant_pipeline.datasets.panel_years import schema_of, to_arrow, write_plain
from tests.helpers.two_names import panel


def of_zone(table):
    return table.set_axis(table.index.set_levels(table.index.levels[0].tz_localize("America/New_York"), level=0))


def of_instruments(table, names):
    return table.set_axis(table.index.set_levels(pd.Index(names, dtype=object), level=1))


def of_level(table, place, values):
    return table.set_axis(table.index.set_levels(pd.Index(values), level=place))


def with_missing(table, place):
    codes = [[0, 0], [0, 1]]
    codes[place][1] = -1
    return table.set_axis(table.index.set_codes(codes))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (of_zone, "no time zone; these are of America/New_York"),
        (lambda table: of_instruments(table, [1, 2]), "are names; these are integer"),
        (lambda table: of_level(table, 1, [1, 2]), r"are names; these are integer\. Convert them"),
        (lambda table: of_level(table, 1, pd.Categorical([1, 2])), "are names; these are integer"),
        (
            lambda table: of_level(table, 1, pd.to_datetime(["2020-01-02", "2020-01-03"])),
            "are names; these are datetime",
        ),
        (lambda table: of_level(table, 0, ["2019-12-31"]), "are dates; these are string.*to_datetime"),
        (lambda table: of_level(table, 0, [20191231]), "are dates; these are integer"),
        (lambda table: of_level(table, 0, [date(2019, 12, 31)]), "are dates; these are date.*to_datetime"),
        (lambda table: table.swaplevel(), r"this one is \(instrument, datetime\).*swaplevel"),
        (lambda table: table.rename_axis(["instrument", "datetime"]).swaplevel(), "are dates; these are string"),
        (lambda table: table.droplevel("datetime"), r"\(datetime, instrument\); this one is \(instrument\)"),
        (lambda table: table.reset_index(drop=True), r"this one is \(None\)"),
        (lambda table: with_missing(table, 0), "1 rows of a panel have no datetime"),
        (lambda table: with_missing(table, 1), "1 rows of a panel have no instrument"),
    ],
)
def test_an_index_that_files_do_not_keep_is_refused(tmp_path, change, reason):
    with pytest.raises(Exception, match=reason) as failure:
        YearlyPanel(str(tmp_path)).save(change(panel(["2019-12-31"])))
    assert isinstance(failure.value.__cause__ or failure.value, MarketDataError)


@pytest.mark.parametrize("kind", [object, "string", "category"])
def test_names_of_any_kind_are_texts_in_files(tmp_path, kind):
    written = panel(["2019-12-31", "2020-01-02"])
    YearlyPanel(str(tmp_path)).save(of_level(written, 1, written.index.levels[1].astype(kind)))
    pd.testing.assert_frame_equal(YearlyPanel(str(tmp_path)).load(), written)


def test_saving_takes_no_copy_of_a_year(tmp_path):
    sessions = pd.bdate_range("2015-01-01", "2015-12-31")
    index = panel(sessions).index
    wide = pd.DataFrame(np.ones((300, len(index)), dtype="float32").T, index=index, copy=False).rename(columns=str)
    allocated = pa.default_memory_pool().bytes_allocated()
    table = to_arrow(wide, schema_of(wide))
    assert pa.default_memory_pool().bytes_allocated() - allocated < 0.1 * wide.to_numpy().nbytes
    assert np.shares_memory(table.column("7").chunk(0).to_numpy(), wide.to_numpy())


def test_a_column_of_a_group_is_one_page(tmp_path):
    table = pa.table(
        {"factor": np.arange(2**16 + 30_000, dtype="float32")}, pa.schema([pa.field("factor", "float", False)])
    )
    write_plain(table, tmp_path / "year.parquet")
    layout = pq.read_metadata(tmp_path / "year.parquet")
    groups = [layout.row_group(group) for group in range(layout.num_row_groups)]
    assert [group.num_rows for group in groups] == [2**16, 30_000]
    head_of_a_page = 25
    assert all(group.column(0).total_compressed_size - 4 * group.num_rows <= head_of_a_page for group in groups)


def by_another_program(folder, kind, days, instruments):
    """Write a year as programs do that know nothing of pandas: plain columns, in a type of theirs."""
    file, values = folder / "2020.parquet", pa.array(range(len(days)), kind)
    pq.write_table(pa.table({"datetime": days, "instrument": instruments, "factor": values}), file)
    (folder / MANIFEST).write_text(json.dumps({file.name: {"bytes": file.stat().st_size}}))
    return file


def moments(*texts, zone=None):
    return pa.array(pd.DatetimeIndex(texts).as_unit("us"), pa.timestamp("us", zone))


BOTH_KINDS = pytest.mark.parametrize("kind", [pa.float32(), pa.float64()], ids=str)
NAMES = ["AAA", "AAA", "BBB"]


@BOTH_KINDS
@pytest.mark.parametrize("is_read_lazily", [True, False])
@pytest.mark.parametrize(
    ("zone", "stored"),
    [
        ("America/New_York", ["2020-01-02 05:00", "2020-07-02 04:00", "2020-07-02 04:00"]),
        ("Asia/Shanghai", ["2020-01-01 16:00", "2020-07-01 16:00", "2020-07-01 16:00"]),
        ("UTC", ["2020-01-02", "2020-07-02", "2020-07-02"]),
        ("+01:00", ["2020-01-01 23:00", "2020-07-01 23:00", "2020-07-01 23:00"]),
    ],
)
def test_a_session_with_a_zone_is_the_day_of_that_zone(tmp_path, kind, is_read_lazily, zone, stored):
    by_another_program(tmp_path, kind, moments(*stored, zone=zone), NAMES)
    loaded = YearlyPanel(str(tmp_path), lazy=is_read_lazily).load()
    table = loaded.read() if is_read_lazily else loaded
    days = table.index.get_level_values("datetime")
    assert (days.tz, [f"{day:%Y-%m-%d %H:%M}" for day in days]) == (
        None,
        ["2020-01-02 00:00", "2020-07-02 00:00", "2020-07-02 00:00"],
    )
    assert table.index.get_level_values("instrument").tolist() == NAMES
    assert table["factor"].tolist() == [0.0, 1.0, 2.0]


@BOTH_KINDS
def test_a_day_that_begins_at_one_is_a_session(tmp_path, kind):
    """In Sao Paulo, 2018-11-04 had no hour from midnight on."""
    days = moments("2018-11-02 03:00", "2018-11-04 03:00", "2018-11-04 03:00", zone="America/Sao_Paulo")
    by_another_program(tmp_path, kind, days, NAMES)
    found = YearlyPanel(str(tmp_path)).load().index.get_level_values("datetime")
    assert [f"{day:%Y-%m-%d %H:%M}" for day in found] == ["2018-11-02 00:00", "2018-11-04 00:00", "2018-11-04 00:00"]


@BOTH_KINDS
def test_a_run_sees_no_session_that_is_later_in_its_zone(tmp_path, kind):
    days = moments("2020-01-01 16:00", "2020-01-02 16:00", "2020-01-02 16:00", zone="Asia/Shanghai")
    by_another_program(tmp_path, kind, days, NAMES)
    assert YearlyPanel(str(tmp_path), as_of="2020-01-02").load()["factor"].tolist() == [0.0]


@BOTH_KINDS
@pytest.mark.parametrize(
    ("days", "instruments", "reason"),
    [
        (moments("2020-01-02", "2020-01-03", None), NAMES, "1 rows of a panel have no datetime"),
        (moments(None, None, "2020-01-02 15:00", zone="Asia/Tokyo"), NAMES, "2 rows of a panel have no datetime"),
        (moments("2020-01-02", "2020-01-03", "2020-01-03"), ["AAA", None, "BBB"], "1 rows of a panel have no instr"),
        (moments("2020-01-02", "2020-01-03", "2020-01-03"), [1, 1, 2], "are names; these are integer"),
        (pa.array(["2020-01-02", "2020-01-03", "2020-01-03"]), NAMES, "are dates; these are string"),
        (
            moments("2020-01-02 14:30", "2020-01-02 21:00", "2020-01-02 21:00", zone="America/New_York"),
            NAMES,
            "2 of its 2 sessions begin no day of their zone, America/New_York, such as 2020-01-02 09:30",
        ),
        (
            moments("2020-01-02", "2020-03-29 23:00", "2020-03-30 23:00", zone="UTC"),
            NAMES,
            "2 of its 3 sessions begin no day of their zone, UTC, .* turned to another zone. Write dates",
        ),
        (moments("2020-01-02", "2020-01-03", "2020-01-03", zone="Asia/Beijing"), NAMES, "not known here, .*Asia/Beij"),
        (moments("2020-01-02", "2020-01-02", "2020-01-02"), NAMES, "AAA has two rows on 2020-01-02"),
        (moments("2020-01-02", "2020-01-02", "2020-01-02"), ["BBB", "AAA", "BBB"], "BBB has two rows on 2020-01-02"),
        (moments("2020-01-02", "2020-01-02", "2020-01-02", zone="UTC"), NAMES, "AAA has two rows on 2020-01-02"),
        (moments("2020-01-02", "2020-01-03", "2020-01-03"), [b"AAA", b"AAA", b"B"], "are bytes.*: str.decode"),
    ],
    ids=[
        "no session",
        "no session of a zone",
        "no instrument",
        "numbers",
        "texts",
        "moments of a day",
        "midnights of another zone",
        "an unknown zone",
        "a row twice",
        "apart",
        "twice in a zone",
        "bytes",
    ],
)
def test_rows_of_no_session_or_no_instrument_are_refused_with_their_file(tmp_path, kind, days, instruments, reason):
    file = by_another_program(tmp_path, kind, days, instruments)
    with pytest.raises(Exception, match=rf"{file} is no year of a panel: .*{reason}") as failure:
        YearlyPanel(str(tmp_path)).load()
    assert isinstance(failure.value.__cause__ or failure.value, MarketDataError)


@BOTH_KINDS
def test_days_without_a_time_are_sessions(tmp_path, kind):
    days = pa.array([date(2020, 1, 2), date(2020, 1, 3), date(2020, 1, 3)])
    by_another_program(tmp_path, kind, days, pa.array(NAMES).dictionary_encode())
    table = YearlyPanel(str(tmp_path)).load()
    assert table.index.tolist() == [
        (pd.Timestamp(day), name) for day, name in zip(days.to_pylist(), NAMES, strict=True)
    ]


def test_a_year_without_rows_has_none(tmp_path):
    by_another_program(tmp_path, pa.float64(), pa.array([], pa.date32()), pa.array([], pa.string()))
    assert YearlyPanel(str(tmp_path)).load().empty


@BOTH_KINDS
def test_a_row_in_two_files_is_refused_with_their_folder(tmp_path, kind):
    file = by_another_program(tmp_path, kind, moments("2020-01-02", "2020-01-03", "2020-01-03"), NAMES)
    (tmp_path / "2021.parquet").write_bytes(file.read_bytes())
    size = {"bytes": file.stat().st_size}
    (tmp_path / MANIFEST).write_text(json.dumps({"2020.parquet": size, "2021.parquet": size}))
    with pytest.raises(Exception, match=rf"the panel in {tmp_path} overlap: AAA has two rows on 2020-01-02"):
        YearlyPanel(str(tmp_path)).load()


def test_a_level_and_a_column_of_one_name_are_refused_with_their_file(tmp_path):
    table = panel(["2020-01-02"]).reset_index().set_index("datetime", drop=False)
    table.to_parquet(tmp_path / "2020.parquet")
    size = (tmp_path / "2020.parquet").stat().st_size
    (tmp_path / MANIFEST).write_text(json.dumps({"2020.parquet": {"bytes": size}}))
    with pytest.raises(Exception, match=r"2020\.parquet is no year .*datetime is a level of the index and a column"):
        YearlyPanel(str(tmp_path)).load()


@pytest.mark.parametrize("levels", [["instrument", "datetime"], ["datetime"], ["instrument"], []])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_sessions_and_instruments_are_known_by_their_names_wherever_they_stand(tmp_path, kind, levels):
    written = panel(["2020-01-02", "2020-01-03"]).astype(kind)
    table = written.reset_index()
    (table.set_index(levels) if levels else table).to_parquet(tmp_path / "2020.parquet")
    size = (tmp_path / "2020.parquet").stat().st_size
    (tmp_path / MANIFEST).write_text(json.dumps({"2020.parquet": {"bytes": size}}))
    read = YearlyPanel(str(tmp_path)).load()
    pd.testing.assert_frame_equal(read, written, check_index_type=False)
