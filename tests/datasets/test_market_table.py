"""Large tables of the market are written where they changed, read once in a run, and by each process for itself."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from quant_pipeline.datasets import market_table
from quant_pipeline.datasets.market_table import MarketTable
from tests.helpers.file_times import write_and_set_back

DAYS = pd.DatetimeIndex(["2024-12-30", "2024-12-31", "2025-01-02"]).as_unit("ns")
TABLE = pd.DataFrame(
    {"date": DAYS.repeat(2), "instrument": pd.array(["AAA", "BBB"] * 3, dtype="str"), "close": np.arange(6.0)}
)


@pytest.fixture
def place(tmp_path):
    MarketTable(filepath=str(tmp_path / "bars.parquet"), as_of="2025-01-02").save(TABLE)
    return tmp_path / "bars.parquet"


def table_at(place, as_of="2025-01-02"):
    return MarketTable(filepath=str(place), as_of=as_of)


def same_memory(one, other):
    return np.shares_memory(one["close"].to_numpy(), other["close"].to_numpy())


def test_what_was_saved_is_loaded_up_to_the_session(place):
    TABLE.attrs["source"] = "files"
    table_at(place).save(TABLE)
    loaded = table_at(place).load()
    pd.testing.assert_frame_equal(loaded, TABLE, check_exact=True)
    assert loaded.attrs == {"source": "files"}
    assert table_at(place, "2024-12-31").load()["close"].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_two_nodes_share_one_reading_and_neither_sees_what_the_other_writes(place):
    dataset = table_at(place)
    one, other = dataset.load(), dataset.load()
    assert same_memory(one, other)
    one.loc[0, "close"] = 99.0
    one["more"] = 1
    pd.testing.assert_frame_equal(other, dataset.load())
    assert other.columns.tolist() == TABLE.columns.tolist()
    assert other["close"].iloc[0] == 0.0


def test_a_file_that_was_replaced_is_read_again(place):
    dataset = table_at(place)
    dataset.load()
    table_at(place).save(TABLE.assign(close=7.0))
    assert dataset.load()["close"].tolist() == [7.0] * 6
    dataset.save(TABLE)
    assert dataset.load()["close"].tolist() == TABLE["close"].tolist()


def written_again(place, table):
    before = place.stat().st_ino
    table_at(place).save(table)
    return place.stat().st_ino != before


def test_a_file_that_holds_the_table_already_stays_as_it_is(place):
    before = place.read_bytes()
    assert not written_again(place, TABLE.copy())
    assert place.read_bytes() == before
    missing = TABLE.assign(close=[np.nan, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert written_again(place, missing)
    assert not written_again(place, missing.copy())


@pytest.mark.parametrize(
    "changed",
    [
        TABLE.assign(close=np.append(-0.0, np.arange(1.0, 6.0))),
        TABLE.assign(instrument=pd.array(["AAA", "BBC"] * 3, dtype="str")),
        TABLE.assign(date=TABLE["date"] - pd.Timedelta(days=1)),
        TABLE.head(5),
        TABLE.rename(columns={"close": "open"}),
        TABLE.set_axis(range(1, 7)),
    ],
    ids=["minus zero", "name", "date", "rows", "column", "index"],
)
def test_whatever_has_changed_is_written(place, changed):
    assert written_again(place, changed)
    pd.testing.assert_frame_equal(table_at(place).load(), changed)
    assert np.array_equal(np.signbit(pd.read_parquet(place).iloc[:, 2]), np.signbit(changed.iloc[:, 2]))


def test_what_the_table_says_of_itself_is_written(place):
    told = TABLE.copy()
    told.attrs["source"] = "alpaca"
    assert written_again(place, told)
    assert table_at(place).load().attrs == {"source": "alpaca"}


def test_a_file_that_was_damaged_or_removed_or_edited_is_written_again(place):
    whole = place.read_bytes()
    for damage in (whole[:100], whole[: len(whole) // 2] + whole[len(whole) // 2 + 1 :], b"", None):
        place.write_bytes(damage) if damage is not None else place.unlink()
        table_at(place).save(TABLE)
        assert place.read_bytes() == whole
    edited = pq.read_table(place)
    pq.write_table(edited.set_column(2, "close", [[9.0] * 6]), place)
    assert written_again(place, TABLE)
    assert place.read_bytes() == whole


def test_nodes_load_what_was_saved_without_reading_it(place):
    dataset = table_at(place, "2024-12-31")
    saved = TABLE.copy()
    dataset.save(saved)
    saved["more"] = 1
    one, other = dataset.load(), dataset.load()
    assert same_memory(one, other)
    pd.testing.assert_frame_equal(one, TABLE.head(4))
    dataset.release()
    pd.testing.assert_frame_equal(dataset.load(), one)


def test_a_table_that_has_just_been_written_is_not_read(tmp_path):
    dataset, saved = table_at(tmp_path / "bars.parquet"), TABLE.copy()
    dataset.save(saved)
    assert same_memory(dataset.load(), saved)


@pytest.mark.parametrize("is_saved", [True, False])
def test_a_file_that_is_changed_in_place_and_set_back_in_time_is_read_again(place, tmp_path, is_saved):
    dataset, changed = table_at(place), TABLE.assign(close=[0.0, 1.0, 2.0, 3.0, 9.0, 5.0])
    table_at(tmp_path / "other.parquet").save(changed)
    dataset.save(TABLE) if is_saved else dataset.load()
    write_and_set_back(place, (tmp_path / "other.parquet").read_bytes())
    pd.testing.assert_frame_equal(dataset.load(), changed)


def test_a_table_that_its_file_gives_back_with_other_types_is_read(place):
    dataset = table_at(place)
    dataset.save(TABLE.astype({"instrument": "object"}))
    pd.testing.assert_frame_equal(dataset.load(), pd.read_parquet(place))


def test_nothing_is_kept_of_what_no_node_needs_any_more(place):
    dataset = table_at(place)
    before = dataset.load()
    dataset.release()
    assert not same_memory(before, dataset.load())


def test_a_table_larger_than_what_may_stay_is_read_by_each_node(place, monkeypatch):
    monkeypatch.setattr(market_table, "MOST_KEPT", 8)
    dataset = table_at(place)
    assert not same_memory(dataset.load(), dataset.load())


def test_another_process_is_sent_no_table(place):
    dataset = table_at(place)
    empty = len(pickle.dumps(dataset))
    dataset.load()
    assert len(pickle.dumps(dataset)) == empty
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(dataset)).load(), TABLE)


def test_a_file_has_a_dictionary_of_names_and_dates_and_none_of_numbers(place):
    columns = {column.path_in_schema: column for column in map(pq.read_metadata(place).row_group(0).column, range(3))}
    with_dictionary = {name for name, each in columns.items() if "RLE_DICTIONARY" in each.encodings}
    assert (columns.keys(), with_dictionary) == (set(TABLE.columns), {"date", "instrument"})
    assert table_at(place).load_where("instrument", ["BBB"])["close"].tolist() == [1.0, 3.0, 5.0]


def test_what_the_catalog_asks_for_beside_the_table_is_done_although_it_has_not_changed(place):
    MarketTable(filepath=str(place), as_of="2025-01-02", csv_twin=True).save(TABLE)
    assert place.with_suffix(".csv").exists()
    MarketTable(filepath=str(place), as_of="2025-01-02", save_args={"row_group_size": 2}).save(TABLE)
    assert pq.ParquetFile(place).num_row_groups == 3
    chosen = MarketTable(filepath=str(place), as_of="2025-01-02", load_args={"columns": ["date", "close"]})
    chosen.save(TABLE)
    assert chosen.load().columns.tolist() == ["date", "close"]


def test_singles_differ_by_their_sign_of_zero_too(place):
    singles = TABLE.astype({"close": "float32"})
    table_at(place).save(singles)
    assert not written_again(place, singles.copy())
    assert written_again(place, singles.assign(close=-singles["close"].where(singles["close"] == 0, -singles["close"])))


def test_a_table_without_its_dates_is_saved(place):
    undated = TABLE.drop(columns="date")
    table_at(place).save(undated)
    pd.testing.assert_frame_equal(pd.read_parquet(place), undated)


def test_a_file_that_is_replaced_while_a_table_is_compared_with_it_is_read(place, monkeypatch):
    dataset, holds = table_at(place), MarketTable._holds

    def replace_after(self, data):
        found = holds(self, data)
        monkeypatch.undo()
        table_at(place).save(TABLE.assign(close=7.0))
        return found

    monkeypatch.setattr(MarketTable, "_holds", replace_after)
    dataset.save(TABLE)
    assert dataset.load()["close"].tolist() == [7.0] * 6


def test_a_file_that_is_replaced_right_after_it_was_written_is_read(place, monkeypatch):
    dataset, replace = table_at(place), Path.replace

    def replace_twice(self, target):
        replace(self, target)
        monkeypatch.undo()
        table_at(place).save(TABLE.assign(close=7.0))

    monkeypatch.setattr(Path, "replace", replace_twice)
    dataset.save(TABLE.assign(close=5.0))
    assert dataset.load()["close"].tolist() == [7.0] * 6
