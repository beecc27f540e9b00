"""Digests depend on values alone, and a year that is known is not hashed again."""

import pickle

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.models import digests
from quant_pipeline.models.digests import KnownTables, digest_of
from quant_pipeline.models.panels import MemoryPanel, PanelView

COLUMNS = ["one", "other"]
LAST = pd.Timestamp("2021-02-26")


@pytest.fixture
def table():
    days = pd.bdate_range("2019-12-16", "2021-03-31")
    index = pd.MultiIndex.from_product([days, ["AAA", "BBB", "CCC"]], names=["datetime", "instrument"])
    index = index[index.get_level_values("instrument").where(index.codes[0] > 20, "AAA") != "CCC"]  # Listed later.
    values = np.random.default_rng(5).normal(size=(len(index), 2)).astype("float32")
    values[::7, 1] = np.nan
    return pd.DataFrame(values, index=index, columns=COLUMNS)


@pytest.fixture
def counted(monkeypatch):
    """Bytes of values that were hashed."""
    sizes, original = [], digests._of_values

    def count(column):
        sizes.append(column.nbytes)
        return original(column)

    monkeypatch.setattr(digests, "_of_values", count)
    return sizes


def test_the_form_of_a_panel_does_not_count(table):
    expected = digest_of(table, COLUMNS, LAST)
    days, names = table.index.levels
    last_first = [len(level) - 1 - codes for level, codes in zip(table.index.levels, table.index.codes, strict=True)]
    other_levels = pd.MultiIndex([days[::-1], names[::-1]], last_first, names=table.index.names)
    names_alone = pd.MultiIndex([days, names[::-1]], [table.index.codes[0], last_first[1]], names=table.index.names)
    forms = {
        "by columns": pd.DataFrame(np.asfortranarray(table.to_numpy()), table.index, COLUMNS),
        "with others": table.assign(third=1.0)[["third", "other", "one"]],
        "levels in another order": table.set_axis(other_levels),
        "names in another order": table.set_axis(names_alone),
        "levels that are not used": pd.concat([table, table.rename(index={"AAA": "A"})]).iloc[: len(table)],
        "in microseconds": table.set_axis(table.index.set_levels(days.as_unit("us"), level=0)),
        "names as objects": table.set_axis(table.index.set_levels(names.astype(object), level=1)),
        "until the last session": table.loc[:LAST],
        "within another panel": PanelView(
            pd.concat([table.loc[:"2019-12-20"].rename(index=lambda day: day - pd.Timedelta("30D"), level=0), table]),
            slice(len(table.loc[:"2019-12-20"]), None),
        ),
    }
    assert {form: digest_of(panel, COLUMNS, LAST) for form, panel in forms.items()} == dict.fromkeys(forms, expected)


def test_every_value_counts(table):
    expected = digest_of(table, COLUMNS, LAST)
    value = table.copy()
    value.iloc[100, 0] += 1
    missing = table.copy()
    missing.iloc[101, 0] = np.nan
    others = {
        "value": value,
        "missing": missing,
        "name": table.rename(index={"AAA": "AAB"}, level=1),
        "day": table.rename(index={pd.Timestamp("2020-07-01"): pd.Timestamp("2020-06-30 12:00")}, level=0),
        "row": table.drop(table.index[60]),
        "precision": table.astype("float64"),
        "order of rows": table.sort_index(level="instrument"),
    }
    found = [expected, *(digest_of(panel, COLUMNS, LAST) for panel in others.values())]
    found += [digest_of(table, COLUMNS[::-1], LAST), digest_of(table, COLUMNS, pd.Timestamp("2021-02-25"))]
    found += [digest_of(table, COLUMNS[:1], LAST)]
    assert len(set(found)) == len(found)


def test_what_comes_later_does_not_count(table):
    later = table.copy()
    later.loc["2021-02-27":] = 7.0
    assert digest_of(later, COLUMNS, LAST) == digest_of(table, COLUMNS, LAST)
    shuffled = table.sample(frac=1.0, random_state=7)
    known = shuffled[shuffled.index.get_level_values("datetime") <= LAST]
    assert digest_of(shuffled, COLUMNS, LAST) == digest_of(known, COLUMNS, LAST) != digest_of(table, COLUMNS, LAST)


def test_windows_hash_whole_years_once(table, counted):
    panel = MemoryPanel(table)
    ends = pd.bdate_range("2020-01-31", "2021-03-31", freq="BME")
    together = [digest_of(panel, COLUMNS, end) for end in ends]
    assert len(set(together)) == len(ends)
    years, sessions = table.index.levels[0].year, table.index.codes[0]
    of_a_year = {year: int((years[sessions] == year).sum()) * 2 * 4 for year in (2019, 2020, 2021)}
    # 2019 once; 2020 for its own twelve windows, the last of which is whole; no year twice for the same rows.
    of_ends = sum(int(((years[sessions] == end.year) & (table.index.get_level_values(0) <= end)).sum()) for end in ends)
    assert sum(counted) == of_a_year[2019] + of_ends * 2 * 4
    counted.clear()
    assert [digest_of(panel, COLUMNS, end) for end in ends] == together
    assert counted == []


class TestKnownTables:
    """Tables that are recognised."""

    def test_a_column_that_is_taken_out_again_is_the_same_table(self, table, counted):
        known = KnownTables()
        for _ in range(3):
            panel = known.panel_of(table["one"].to_frame("label"))
            first = digest_of(panel, ["label"], LAST)
        assert sum(counted) == 4 * len(table.loc[:LAST])
        assert first == digest_of(table["one"].to_frame("label"), ["label"], LAST)

    def test_a_table_that_was_written_to_is_another_one(self, table):
        known = KnownTables()
        before = digest_of(known.panel_of(table), COLUMNS, LAST)
        table.iloc[100, 0] += 1
        after = digest_of(known.panel_of(table), COLUMNS, LAST)
        assert after == digest_of(table, COLUMNS, LAST) != before

    def test_other_names_of_the_same_values_are_another_table(self, table):
        known = KnownTables()
        assert known.panel_of(table).columns.tolist() == COLUMNS
        assert known.panel_of(table.rename(columns={"one": "two"})).columns.tolist() == ["two", "other"]

    def test_few_tables_are_held(self, table):
        known = KnownTables()
        panels = [known.panel_of(table + number) for number in range(digests.MOST_TABLES + 1)]
        assert len(known._known) == digests.MOST_TABLES
        assert panels[0] not in [panel for _, _, panel in known._known]

    def test_they_travel_empty(self, table):
        known = KnownTables()
        known.panel_of(table)
        assert pickle.loads(pickle.dumps(known))._known == []
