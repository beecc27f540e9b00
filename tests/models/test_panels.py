"""Blocks of whole sessions, and rows that are looked up by the codes of an index."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.factors.label_lookup import labels_of_rows, require_rows
from quant_pipeline.models.panel_rows import in_sessions, in_span, is_member, known_at_close
from quant_pipeline.models.panels import MemoryPanel, PanelView, blocks_of, session_starts, take_rows


class WithSeams(MemoryPanel):
    """A table that says where its files would begin."""

    def __init__(self, table, seams):
        super().__init__(table)
        self.seams = seams


@pytest.fixture(scope="module")
def table():
    """Five sessions of two to four instruments, two columns."""
    days = pd.bdate_range("2023-12-28", periods=5, unit="ns")
    rows = [(day, name) for day, names in zip(days, ["AB", "ABC", "BCD", "ABCD", "CD"], strict=True) for name in names]
    index = pd.MultiIndex.from_tuples(rows, names=["datetime", "instrument"])
    return pd.DataFrame(np.arange(28, dtype="float32").reshape(14, 2), index, ["first", "second"])


@pytest.mark.parametrize(
    ("seams", "most_values", "expected"),
    [
        ([], 28, [(0, 14)]),
        ([], 12, [(0, 5), (5, 8), (8, 14)]),
        ([], 2, [(0, 2), (2, 5), (5, 8), (8, 12), (12, 14)]),
        ([2], 12, [(0, 2), (2, 8), (8, 14)]),
        ([5, 8], 16, [(0, 8), (8, 14)]),
        ([8], 14, [(0, 8), (8, 14)]),
    ],
)
def test_blocks_are_whole_sessions_and_end_with_files_where_they_can(table, seams, most_values, expected):
    blocks = list(blocks_of(WithSeams(table, seams), slice(0, 14), most_values))
    assert [(block.start, block.stop) for block in blocks] == expected


def test_a_panel_that_is_not_sorted_stays_one_block(table):
    mixed = MemoryPanel(table.iloc[::-1])
    assert list(blocks_of(mixed, slice(0, 14), 2)) == [slice(0, 14)]


def test_a_stretch_of_a_panel_is_that_of_its_table(table):
    view = PanelView(WithSeams(table, [5, 8]), slice(2, 12), ["second"])
    expected = table.iloc[2:12][["second"]]
    pd.testing.assert_frame_equal(view.read(), expected)
    pd.testing.assert_frame_equal(view.read(slice(3, 6)), expected.iloc[3:6])
    assert list(view.seams) == [3, 6]
    assert list(view.index.levels[0]) == list(expected.index.unique("datetime"))


@pytest.mark.parametrize("rows", [slice(0, 14), slice(2, 12), slice(3, 9), slice(8, 8), slice(13, 14)])
def test_sessions_of_a_stretch_begin_where_those_of_its_rows_do(table, rows):
    expected = session_starts(table.index[rows])
    assert PanelView(table, rows).starts.tolist() == expected.tolist()
    mixed = MemoryPanel(table.iloc[[5, 6, 7, 0, 1, 2, 3, 4]])
    assert mixed.starts is None
    assert PanelView(mixed, slice(3, 8)).starts.tolist() == [0, 2]


@pytest.mark.parametrize("rows", [[], [3], [0, 4, 5, 13]])
def test_single_rows_are_taken_from_the_blocks_that_have_them(table, rows):
    taken = take_rows(table, np.array(rows, dtype=np.int64), ["second"])
    pd.testing.assert_frame_equal(taken, table[["second"]].iloc[rows])


@pytest.mark.parametrize("dtype", ["str", "object", "category"])
def test_members_are_found_as_a_hash_table_finds_them(table, dtype):
    days = table.index.levels[0]
    pairs = [(days[0], "A"), (days[2], "D"), (days[4], "C"), (days[4], "A"), (days[1], "Z"), (pd.Timestamp(0), "A")]
    members = pd.DataFrame(pairs, columns=["date", "instrument"]).astype({"instrument": dtype})
    expected = table.index.isin(pd.MultiIndex.from_frame(members.astype({"instrument": "str"})))
    assert expected.sum() == 3
    np.testing.assert_array_equal(is_member(table.index, members), expected)
    np.testing.assert_array_equal(is_member(table.index, members.iloc[:0]), np.zeros(14, dtype=bool))


def test_labels_are_those_that_reindexing_gives(table):
    labels = table["first"].astype("float64").iloc[[0, 3, 4, 9, 13]].rename("label")
    elsewhere = labels.rename(index={"A": "Z"}, level="instrument")
    for given in (labels, pd.concat([labels, elsewhere.iloc[:1]]).sort_index()):
        pd.testing.assert_series_equal(labels_of_rows(table.index, given), given.reindex(table.index))


def test_a_row_without_a_label_has_none_whatever_labels_are_made_of_and_two_are_refused(table):
    whole = pd.Series([1, 2], index=table.index[[0, 3]], name="label")
    for dtype in ("int64", "int8", "bool", "Float64", "float32"):
        found = labels_of_rows(table.index, whole.astype(dtype))
        assert found.notna().to_numpy().nonzero()[0].tolist() == [0, 3]
    with pytest.raises(ModelError, match=r"A has two labels on"):
        labels_of_rows(table.index, pd.concat([whole, whole.iloc[:1]]))


def test_rows_without_a_session_or_an_instrument_have_no_label_however_many_there_are():
    sessions, instruments = pd.date_range("2024-01-02", periods=2), ["A", "B"]
    # The first and the last cell of the grid, a row that lacks each, and two that lack both.
    codes = [[0, 1, -1, 0, -1, -1], [0, 1, 0, -1, -1, -1]]
    index = pd.MultiIndex(levels=[sessions, instruments], codes=codes, names=["datetime", "instrument"])
    labels = pd.Series([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], index=index, name="label")
    require_rows(index, "row")
    np.testing.assert_array_equal(labels_of_rows(index, labels), [1.0, 2.0, *[np.nan] * 4])
    nothing = index[2:].remove_unused_levels()[2:].remove_unused_levels()
    np.testing.assert_array_equal(labels_of_rows(nothing, labels), [np.nan, np.nan])
    np.testing.assert_array_equal(labels_of_rows(index, labels.iloc[:0]), [np.nan] * 6)


def test_sessions_and_spans_are_those_of_the_rows(table):
    days = table.index.get_level_values("datetime")
    wanted = days.unique()[[1, 3]]
    np.testing.assert_array_equal(in_sessions(table.index, wanted), days.isin(wanted))
    np.testing.assert_array_equal(in_span(table.index, wanted[0], wanted[1]), (days >= wanted[0]) & (days <= wanted[1]))
    np.testing.assert_array_equal(in_span(table.index, wanted[1]), days >= wanted[1])


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["sorted", "not_sorted"])
def test_nothing_after_a_session_is_left(table, order):
    day = table.index.levels[0][2]
    given = table.iloc[order]
    known = known_at_close(given, day)
    pd.testing.assert_frame_equal(known.read(), given[given.index.get_level_values("datetime") <= day])


def test_nothing_after_a_session_is_left_of_sessions_that_are_numbered_backwards(table):
    days = table.index.levels[0][::-1]
    given = pd.concat({day: table.xs(day, level="datetime") for day in days}, names=["datetime"])
    assert not given.index.levels[0].is_monotonic_increasing
    known = known_at_close(given, days[2]).read()
    pd.testing.assert_frame_equal(known, given[given.index.get_level_values("datetime") <= days[2]])
