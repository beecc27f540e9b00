"""One reading for a whole column; zones by their names; nothing guessed."""

import pytest

from quant_pipeline.trading.statements.dates import AmbiguousDates, reader_of

AMERICAN, EUROPEAN = "%m/%d/%Y", "%d/%m/%Y"
NEW_YORK = "America/New_York"


def read(text, *patterns, written_in=None, timezone=NEW_YORK):
    return f"{reader_of([text], patterns, timezone, written_in).read(text).at:%Y-%m-%d %H:%M:%S}"


def test_column_that_only_the_preferred_format_reads_is_read_by_it():
    reader = reader_of(["01/02/2025", "02/13/2025"], [AMERICAN, EUROPEAN], NEW_YORK)
    assert f"{reader.read('01/02/2025').at:%Y-%m-%d}" == "2025-01-02"


@pytest.mark.parametrize(
    "texts", [["01/02/2025"], ["01/02/2025", "13/02/2025"], ["02/13/2025", "13/02/2025", "01/02/2025"]]
)
def test_column_that_could_be_read_in_two_ways_is_refused(texts):
    with pytest.raises(AmbiguousDates, match="'01/02/2025' is 2025-01-02 by %m/%d/%Y and 2025-02-01 by %d/%m/%Y"):
        reader_of(texts, [AMERICAN, EUROPEAN], NEW_YORK)


def test_formats_that_read_the_same_day_do_not_contradict():
    assert read("02/02/2025", AMERICAN, EUROPEAN) == "2025-02-02 00:00:00"


@pytest.mark.parametrize(
    ("text", "pattern", "moment"),
    [
        ("01/03/2025 03:59:58 PM EST", "%m/%d/%Y %I:%M:%S %p %Z", "2025-01-03 15:59:58"),
        ("2025-07-03 15:59:58 EST", "%Y-%m-%d %H:%M:%S %Z", "2025-07-03 15:59:58"),
        ("2025-01-03 22:00:00 CET", "%Y-%m-%d %H:%M:%S %Z", "2025-01-03 16:00:00"),
        ("2025-01-04 00:59:59 UTC", "%Y-%m-%d %H:%M:%S %Z", "2025-01-03 19:59:59"),
        ("2025-01-03T14:30:01.123456789Z", "%Y-%m-%dT%H:%M:%S.%f%z", "2025-01-03 09:30:01"),
        ("2025-01-03T14:30:01+01:00", "%Y-%m-%dT%H:%M:%S%z", "2025-01-03 08:30:01"),
    ],
)
def test_zones_and_nanoseconds_are_read(text, pattern, moment):
    assert read(text, pattern) == moment


def test_times_without_zone_are_those_of_the_zone_that_the_format_names():
    assert read("2025-01-04 00:30:00", "%Y-%m-%d %H:%M:%S", written_in="UTC") == "2025-01-03 19:30:00"


@pytest.mark.parametrize(
    ("text", "message"),
    [("45659", "serial number of a date"), ("yesterday", "is no date of the form"), ("1/3/2025 X", "is no")],
)
def test_what_is_no_date_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        read(text, AMERICAN)
