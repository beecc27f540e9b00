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


@pytest.mark.parametrize("changed", [{}, {"train": "2 years", "valid": "6 months", "test": "6 months"}])
def test_a_run_before_the_first_session_is_refused(sessions, changed):
    split = SplitParameters.model_validate(SPLIT.model_dump() | changed)
    with pytest.raises(
        ConfigurationError, match=r"^no segment of `split` .* the market has none up to that of the run"
    ):
        split_sessions(sessions[:0], split, horizon=1)


@pytest.fixture(scope="module")
def days():
    return TradingCalendar.of("XNYS", "2010-01-04", "2024-12-31").sessions


MOVING = {"train": "8 years", "valid": "2 years", "test": "3 years"}


class TestLengths:
    @staticmethod
    def spans(days, **changed):
        split = SplitParameters.model_validate(MOVING | changed)
        return {
            name: (f"{part[0]:%Y-%m-%d}", f"{part[-1]:%Y-%m-%d}")
            for name, part in split_sessions(days, split, 1).items()
        }

    def test_lengths_end_at_the_month_of_the_last_session(self, days):
        # Two sessions are purged before each segment. The month begins on 2024-12-01: three years of test, two of
        # validation and eight of training before it.
        assert self.spans(days) == {
            "train": ("2011-12-01", "2019-11-26"),
            "valid": ("2019-12-02", "2021-11-26"),
            "test": ("2021-12-01", "2024-12-31"),
        }

    def test_windows_stand_still_within_a_month_and_move_with_the_next(self, days):
        in_december = self.spans(days[days <= "2024-12-02"])
        assert {name: in_december[name] for name in ("train", "valid")} == {
            "train": ("2011-12-01", "2019-11-26"),
            "valid": ("2019-12-02", "2021-11-26"),
        }
        in_november = self.spans(days[days <= "2024-11-29"])
        assert in_november["train"] == ("2011-11-01", "2019-10-29")

    @pytest.mark.parametrize(
        ("refit", "first_of_test"),
        [("weekly", "2021-12-30"), ("quarterly", "2021-10-01"), ("yearly", "2021-01-04")],
    )
    def test_the_calendar_of_refits(self, days, refit, first_of_test):
        assert self.spans(days, refit=refit)["test"][0] == first_of_test

    def test_an_expanding_window_trains_on_everything_before(self, days):
        assert self.spans(days, window="expanding")["train"] == ("2010-01-04", "2019-11-26")

    def test_an_anchor_holds_the_windows_where_they_are(self, days):
        assert self.spans(days, anchor="2023-05-17")["valid"] == ("2018-05-01", "2020-04-28")

    @pytest.mark.parametrize("window", ["sliding", "expanding"])
    def test_a_market_that_begins_too_late_is_refused_with_the_date_that_is_needed(self, days, window):
        with pytest.raises(ConfigurationError, match=r"needs sessions from 2011-12-01 to train 8 years.*2012-01-03"):
            self.spans(days[days >= "2012-01-01"], window=window)

    @pytest.mark.parametrize("length", ["8", "8 sessions", "0 years", "-1 years", "eight years", ""])
    def test_what_is_no_length_is_refused(self, length):
        with pytest.raises(ValueError, match="train"):
            SplitParameters.model_validate(MOVING | {"train": length})

    def test_dates_and_lengths_do_not_mix(self):
        with pytest.raises(ValueError, match="must all be dates, or all be lengths"):
            SplitParameters.model_validate(MOVING | {"test": ["2022-01-01", None]})


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
