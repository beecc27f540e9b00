"""Rows to learn from, read some at a time."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.models import panels
from quant_pipeline.models.fitted import Samples

ROWS = {
    "all": np.arange(60),
    "a stretch": np.arange(7, 49),
    "with gaps": np.flatnonzero(np.arange(60) % 7 > 1),
    "in any order": np.random.default_rng(3).permutation(60)[:40],
    "none": np.arange(0),
}


@pytest.fixture(params=["by factor", "by row"])
def table(request):
    """Ten sessions of six instruments, three factors."""
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2024-01-02", periods=10), list("ABCDEF")], names=["datetime", "instrument"]
    )
    values = np.random.default_rng(2).normal(size=(60, 3)).astype(np.float32)
    laid_out = np.asfortranarray(values) if request.param == "by factor" else values
    return pd.DataFrame(laid_out, index, ["x", "y", "z"], copy=False)


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("values_at_once", [36, 2**24])
@pytest.mark.parametrize("size", [1, 8, 100])
def test_batches_have_all_rows_in_their_order_and_always_as_many(table, monkeypatch, rows, values_at_once, size):
    monkeypatch.setattr(panels, "AT_ONCE", values_at_once)
    batches = list(Samples(table, rows, np.zeros(len(rows), dtype=np.float32)).batches(size))
    borders = [0, *(batch.places.stop for batch in batches)]
    assert [batch.places.start for batch in batches] == borders[:-1]
    assert borders == [*range(0, len(rows), size), len(rows)] or len(rows) == 0
    for batch in batches:
        np.testing.assert_array_equal(batch.values(), table.to_numpy()[rows[batch.places]].T)


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_values_by_factor_are_those_of_the_rows(table, monkeypatch, rows):
    monkeypatch.setattr(panels, "AT_ONCE", 36)
    samples = Samples(table, rows, np.zeros(len(rows), dtype=np.float32))
    values = samples.values_by_factor
    np.testing.assert_array_equal(values, samples.values.T)
    np.testing.assert_array_equal(values, table.to_numpy()[rows].T)
    assert values.flags.c_contiguous


def test_rows_that_follow_one_another_are_not_copied(table):
    (batch,) = Samples(table, np.arange(6, 30), np.zeros(24, dtype=np.float32)).batches(100)
    assert np.shares_memory(batch.values(), table.to_numpy())
