"""Splits by literal dates."""

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.models.date_splits import (
    CombinatorialParameters,
    SplitParameters,
    combinatorial_splits,
    split_sessions,
)

SPLIT = SplitParameters(
    train=("2023-01-03", "2023-06-30"), valid=("2023-07-01", "2023-09-29"), test=("2023-10-01", None)
)


@pytest.fixture(scope="module")
def sessions():
    return TradingCalendar.of("XNYS", "2023-01-03", "2023-12-29").sessions


def ends(segments):
    return {name: (f"{days[0]:%m-%d}", f"{days[-1]:%m-%d}") for name, days in segments.items()}


def test_a_horizon_of_one_purges_two_sessions(sessions):
    # The label of 06-28 is realised at the open of 06-30, that of 06-29 only at the open of 07-03, in `valid`.
    assert ends(split_sessions(sessions, SPLIT, horizon=1)) == {
        "train": ("01-03", "06-28"),
        "valid": ("07-03", "09-27"),
        "test": ("10-02", "12-29"),
    }


def test_a_longer_horizon_purges_more(sessions):
    assert ends(split_sessions(sessions, SPLIT, horizon=5))["train"] == ("01-03", "06-22")


def test_every_label_is_realised_before_the_next_segment_begins(sessions):
    for horizon in (1, 3, 10):
        segments = split_sessions(sessions, SPLIT, horizon)
        for earlier, later in (("train", "valid"), ("valid", "test")):
            realised = sessions[sessions.get_loc(segments[earlier][-1]) + 1 + horizon]
            assert realised < segments[later][0]


def test_segments_out_of_order_are_refused():
    with pytest.raises(ValueError, match="must follow each other"):
        SplitParameters(
            train=("2023-01-03", "2023-08-01"), valid=("2023-07-01", "2023-09-29"), test=("2023-10-01", None)
        )


def test_a_segment_without_sessions_is_named(sessions):
    late = SplitParameters(
        train=("2030-01-03", "2030-06-30"), valid=("2031-01-01", "2031-02-01"), test=("2032-01-01", None)
    )
    with pytest.raises(ConfigurationError, match="segment 'train'"):
        split_sessions(pd.DatetimeIndex(sessions), late, horizon=1)


class TestCombinatorial:
    PARAMETERS = CombinatorialParameters(groups=5, test_groups=2, embargo=3, valid_share=0.25)

    def test_every_pair_of_groups_is_scored_and_every_session_equally_often(self, sessions):
        splits = combinatorial_splits(sessions, self.PARAMETERS, horizon=1)
        assert [split.name for split in splits] == [
            "0+1", "0+2", "0+3", "0+4", "1+2", "1+3", "1+4", "2+3", "2+4", "3+4",
        ]  # fmt: skip
        scored = pd.Series([day for split in splits for day in split.segments["test"]]).value_counts()
        assert set(scored) == {4}
        assert len(scored) == len(sessions) == 250

    def test_the_gap_before_and_after_a_scored_group_by_literal_dates(self, sessions):
        splits = {split.name: split.segments for split in combinatorial_splits(sessions, self.PARAMETERS, horizon=1)}
        test, train = splits["1+2"]["test"], splits["1+2"]["train"].union(splits["1+2"]["valid"])
        assert (f"{test[0]:%m-%d}", f"{test[-1]:%m-%d}") == ("03-16", "08-08")
        # Two sessions purged before; two purged and three embargoed after.
        assert f"{train[train < test[0]][-1]:%m-%d}" == "03-13"
        assert f"{train[train > test[-1]][0]:%m-%d}" == "08-16"

    def test_no_label_of_training_overlaps_a_label_of_the_test(self, sessions):
        for horizon in (1, 5):
            for split in combinatorial_splits(sessions, self.PARAMETERS, horizon):
                train, test = (sessions.get_indexer(split.segments[name]) for name in ("train", "test"))
                distance = abs(train[:, None] - test[None, :])
                assert distance.min() > horizon

    def test_impossible_parameters_are_refused(self, sessions):
        with pytest.raises(ValueError, match="must be smaller than groups"):
            CombinatorialParameters(groups=3, test_groups=3)
        with pytest.raises(ConfigurationError, match="nothing to train on"):
            combinatorial_splits(sessions, CombinatorialParameters(groups=3, test_groups=2, embargo=200), horizon=1)
