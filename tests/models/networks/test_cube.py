"""Blocks and windows are slices of one array, and every label is learned from once."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models.fitted import Samples
from quant_pipeline.models.networks.cube import SessionCube

DAYS = pd.date_range("2024-01-01", periods=6, unit="ns")


@pytest.fixture
def panel():
    """A is there on all days, B from the third day on, C has a gap on the fourth day."""
    there = {"A": [0, 1, 2, 3, 4, 5], "B": [2, 3, 4, 5], "C": [0, 1, 2, 4, 5]}
    rows = sorted((DAYS[day], name, 10.0 * day + "ABC".index(name)) for name, days in there.items() for day in days)
    index = pd.MultiIndex.from_tuples([row[:2] for row in rows], names=["datetime", "instrument"])
    return pd.DataFrame({"factor": np.array([row[2] for row in rows], dtype="float32")}, index=index)


def all_rows(panel):
    return np.arange(len(panel))


def test_only_rows_with_a_whole_window_are_complete(panel):
    cube = SessionCube(panel, all_rows(panel), 3)
    assert cube.complete.T.tolist() == [
        [False, False, True, True, True, True],
        [False, False, False, False, True, True],
        [False, False, True, False, False, False],
    ]


def test_a_window_holds_the_sessions_up_to_its_row(panel):
    cube = SessionCube(panel, all_rows(panel), 3)
    row = panel.index.get_loc((DAYS[4], "B"))
    sessions, columns = cube.locate(np.array([row]))
    assert cube.windows(sessions, columns)[:, 0, 0].tolist() == [21.0, 31.0, 41.0]


def test_only_the_sessions_and_instruments_that_are_needed_are_kept(panel):
    rows = np.flatnonzero((panel.index.get_level_values(0) == DAYS[5]) & (panel.index.get_level_values(1) != "C"))
    cube = SessionCube(panel, rows, 2)
    assert cube.values[..., 0].tolist() == [[40.0, 41.0], [50.0, 51.0]]


@pytest.mark.parametrize("shuffled", [False, True])
def test_every_label_is_in_exactly_one_block_and_inputs_are_views(panel, shuffled):
    labels = np.arange(len(panel), dtype="float32")
    samples = Samples(panel, all_rows(panel), labels)
    cube = SessionCube(panel, samples.rows, 2)
    table = cube.labels(samples)
    shuffle = np.random.default_rng(3) if shuffled else None
    seen = []
    for block in cube.blocks(table, 2, shuffle):
        assert np.shares_memory(block.inputs, cube.values) or not isinstance(block.columns, slice)
        assert len(block.inputs) == len(block.labels) + 1
        given = cube.values[block.first - 1 : block.first + len(block.labels), block.columns]
        np.testing.assert_array_equal(block.inputs, given)
        seen += block.labels[np.isfinite(block.labels)].tolist()
    assert sorted(seen) == sorted(table[cube.complete].tolist())
    assert len(seen) == 5 + 3 + 3


def test_a_missing_feature_names_the_remedy(panel):
    panel.iloc[4, 0] = np.nan
    with pytest.raises(ModelError, match="processor `fill`"):
        SessionCube(panel, all_rows(panel), 2)
