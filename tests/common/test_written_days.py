"""Days as users write them."""

import pandas as pd
import pytest

from quant_pipeline.common.written_days import read_day


@pytest.mark.parametrize(
    "written",
    [
        "2024-06-28",
        " 20240628 ",
        20240628,
        pd.Timestamp("2024-06-28"),
        pd.Timestamp("2024-06-28", tz="Asia/Shanghai"),
        pd.Timestamp("2024-06-28").to_numpy(),
        "2024-06-28 00:00:00",
        "2024-06-28T00:00",
        "2024-06-28 0:00:00.0",
        "2024-06-28t00:00:00.000Z",
        "2024-06-28 00:00:00 +8",
        "2024-06-28T00:00:00-05:00",
        "20240628 00:00:00",
    ],
    ids=str,
)
def test_a_day_may_be_written_as_the_instant_at_which_it_begins(written):
    assert read_day(written) == "2024-06-28"


@pytest.mark.parametrize(
    "written",
    [
        "2024-06-28 00:00:01",
        "2024-06-28 10:00",
        "2024-06-28T15:30:00Z",
        "2024-06-28 00:00:00.001",
        "2024-06-28 100:00",
        "2024062800:00",
        "2024-02-31 00:00:00",
        "00:00:00",
        "2024-06-28 00:00 soon",
        "",
        None,
        pytest.param(f"2024-06-28{' ' * 50_000}x", id="many blanks"),
    ],
)
def test_what_is_no_day_is_refused(written):
    with pytest.raises(ValueError, match=r"^"):
        read_day(written)
