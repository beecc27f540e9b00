"""Laying out bars on the grid of sessions, and cutting instruments into blocks."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.factors.grid import lay_out
from quant_pipeline.factors.program_runner import BLOCK_ROWS, cut_blocks

SESSIONS = pd.bdate_range("2024-01-01", periods=6)


@pytest.fixture
def bars():
    rows = [("A", 0, 1.0), ("A", 1, 2.0), ("A", 4, 3.0), ("B", 2, 4.0), ("C", 3, 5.0), ("C", 5, 6.0)]
    table = pd.DataFrame(rows, columns=["instrument", "place", "close"])
    return table.assign(date=SESSIONS[table["place"]]).drop(columns="place")


@pytest.mark.parametrize("kind", ["str", "object", "string", "category"])
def test_bars_lie_in_their_sessions_whatever_type_the_names_have(bars, kind):
    grid = lay_out(bars.astype({"instrument": kind}), SESSIONS, ["close"])
    assert list(grid.instruments) == ["A", "B", "C"]
    np.testing.assert_array_equal(grid.first, [0, 5, 6, 9])
    np.testing.assert_array_equal(grid.listed, [0, 2, 3])
    np.testing.assert_array_equal(grid.fields, np.float32([[1, 2, np.nan, np.nan, 3, 4, 5, np.nan, 6]]))
    np.testing.assert_array_equal(grid.traded, ~np.isnan(grid.fields[0]))


@pytest.mark.parametrize("kind", ["str", "object", "string", "category"])
@pytest.mark.parametrize("rows", [[0, 1, 3, 2, 4, 5], [1, 0, 2, 3, 4, 5], [3, 0, 1, 2, 4, 5], [0, 0, 1, 2, 3, 4]])
def test_bars_out_of_order_or_twice_are_refused(bars, kind, rows):
    with pytest.raises(MarketDataError, match="sorted by instrument and date"):
        lay_out(bars.astype({"instrument": kind}).iloc[rows], SESSIONS, ["close"])


def test_a_calendar_that_has_a_session_twice_is_refused(bars):
    with pytest.raises(MarketDataError, match="the calendar has 2024-01-04 twice"):
        lay_out(bars, SESSIONS.append(SESSIONS[3:4]).sort_values(), ["close"])


@pytest.mark.parametrize(
    ("sessions", "told"),
    [
        (SESSIONS.append(pd.DatetimeIndex([None, None])), "session 7 of the calendar has no date"),
        (SESSIONS[::-1], "the calendar is not in order, 2024-01-05 follows 2024-01-08"),
    ],
)
def test_a_calendar_that_is_none_is_not_said_of_the_bars(bars, sessions, told):
    with pytest.raises(MarketDataError, match=told):
        lay_out(bars, sessions, ["close"])


@pytest.mark.parametrize("kind", ["str", "object", "string", "category"])
@pytest.mark.parametrize("rows", [[3], [2, 3], [5], [0, 1, 2, 3, 4, 5]])
def test_bars_without_a_name_are_refused(bars, kind, rows):
    bars.loc[rows, "instrument"] = None
    bars = bars.iloc[rows[0] :]
    with pytest.raises(MarketDataError, match="sorted by instrument and date"):
        lay_out(bars.astype({"instrument": kind}), SESSIONS, ["close"])


@pytest.mark.parametrize("places", [1, 2, 3])
@pytest.mark.parametrize("rows", [1.02, 2.5, 5.02, 11.5])
def test_every_place_has_as_many_blocks_and_none_waits_for_a_long_one(places, rows):
    lengths = np.full(400, int(rows * BLOCK_ROWS / 400))
    spans = np.column_stack([np.cumsum(lengths) - lengths, np.cumsum(lengths)])
    blocks = list(cut_blocks(spans, places))
    sizes = [int((block[:, 1] - block[:, 0]).sum()) for block in blocks]
    assert len(blocks) % places == 0
    assert max(sizes) <= BLOCK_ROWS + lengths[0]
    assert max(sizes) - min(sizes) <= 2 * lengths[0]
    np.testing.assert_array_equal(np.concatenate(blocks), spans)
