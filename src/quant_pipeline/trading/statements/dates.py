"""Dates as brokers write them: one reading for a whole column, zones by their names, nothing guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

FIRST_SERIAL, LAST_SERIAL = 20_000, 80_000
"""Serial dates of spreadsheets between 1954 and 2119."""

FIRST_YEAR, LAST_YEAR = 1902, 2199
"""Years that statements write of; spreadsheets write 1900 where a date is missing."""

ZONES = {
    **dict.fromkeys(("ET", "EST", "EDT"), "America/New_York"),
    **dict.fromkeys(("CT", "CST", "CDT"), "America/Chicago"),
    **dict.fromkeys(("MT", "MST", "MDT"), "America/Denver"),
    **dict.fromkeys(("PT", "PST", "PDT"), "America/Los_Angeles"),
    **dict.fromkeys(("GMT", "UTC"), "UTC"),
    "BST": "Europe/London",
    **dict.fromkeys(("CET", "CEST", "MEZ", "MESZ"), "Europe/Berlin"),
    "HKT": "Asia/Hong_Kong",
    "JST": "Asia/Tokyo",
}
"""Where the clocks are that brokers name. Brokers write EST all year round and mean the clock of New York."""


@dataclass(frozen=True)
class Moment:
    """When a row happened, by the clock of its exchange.

    Attributes
    ----------
    at
        Without zone.
    has_time
        Whether the time of day was stated.
    """

    at: datetime
    has_time: bool


class AmbiguousDates(ValueError):
    """The dates of a column can be read in two ways."""


@dataclass(frozen=True)
class DateReader:
    """Reads the dates of one column.

    Attributes
    ----------
    patterns
        Formats in the notation of ``strptime`` that apply to this column.
    timezone
        Where the days are counted when a time carries an offset or a zone.
    written_in
        Zone of times that carry none; that of `timezone` when it is None.
    """

    patterns: tuple[str, ...]
    timezone: str
    written_in: str | None = None

    def read(self, text: str, is_day: bool = False) -> Moment:
        """Read one date; midnight is no time of day where ``is_day`` says that a day is meant.

        Raises
        ------
        ValueError
            When no format fits; the message says what the text looks like.
        """
        for pattern in self.patterns:
            found = _parse(text, pattern, self.timezone, self.written_in, is_day)
            if found is not None and not FIRST_YEAR <= found.at.year <= LAST_YEAR:
                raise ValueError(f"'{text}' is no day of a statement: the year is before {FIRST_YEAR} or far ahead")
            if found is not None:
                return found
        if re.fullmatch(r"\d{5}(\.\d+)?", text) and FIRST_SERIAL <= float(text) <= LAST_SERIAL:
            raise ValueError(
                f"'{text}' is the serial number of a date in a spreadsheet; format the column as a date, or save the "
                "workbook itself (.xlsx)"
            )
        raise ValueError(f"'{text}' is no date of the form {' or '.join(self.patterns)}")


def reader_of(
    texts: Iterable[str], patterns: Sequence[str], timezone: str, written_in: str | None = None
) -> DateReader:
    """Decide how the dates of a column are read.

    Parameters
    ----------
    texts
        All dates of the column.
    patterns
        Formats that the column map allows, the preferred one first.
    timezone, written_in
        Time zone of the exchange, and of times that carry none.

    Raises
    ------
    AmbiguousDates
        When a text is another day by another format, unless the preferred format of such texts is the only one that
        reads the whole column.
    """
    distinct = list(dict.fromkeys(texts))
    readings = {text: _readings(text, patterns, timezone, written_in) for text in distinct}
    doubtful = [text for text, found in readings.items() if len(set(found.values())) > 1]
    if not doubtful:
        return DateReader(tuple(patterns), timezone, written_in)
    whole = [pattern for pattern in patterns if all(pattern in found for found in readings.values() if found)]
    preferred = next(pattern for pattern in patterns if any(pattern in readings[text] for text in doubtful))
    if whole == [preferred]:
        return DateReader((preferred,), timezone, written_in)
    text = doubtful[0]
    meanings = " and ".join(f"{day} by {pattern}" for pattern, day in readings[text].items())
    only = f"; only {whole[0]} reads all dates of the column" if len(whole) == 1 else ""
    raise AmbiguousDates(f"'{text}' is {meanings}{only}; leave the one that is right in `date_formats`")


def _readings(text: str, patterns: Sequence[str], timezone: str, written_in: str | None) -> dict[str, str]:
    parsed = {pattern: _parse(text, pattern, timezone, written_in) for pattern in patterns}
    return {pattern: f"{found.at:%Y-%m-%d}" for pattern, found in parsed.items() if found is not None}


@lru_cache(maxsize=65536)
def _parse(text: str, pattern: str, timezone: str, written_in: str | None, is_day: bool = False) -> Moment | None:
    # Python counts microseconds; what brokers write beyond is cut.
    text = re.sub(r"(\.\d{6})\d+", r"\1", " ".join(text.split()))
    has_time = any(mark in pattern for mark in ("%H", "%I", "%X", "%c"))
    zone = written_in if has_time else None
    if "%Z" in pattern:
        words = re.search(r"\b([A-Z]{2,4})$", text)
        if words is None or words.group(1) not in ZONES:
            return None
        name = words.group(1)
        zone = "Asia/Shanghai" if name == "CST" and timezone == "Asia/Shanghai" else ZONES[name]
        text, pattern = text[: words.start()].strip(), pattern.replace("%Z", "").strip()
    try:
        at = datetime.strptime(text, pattern)
    except ValueError:
        return None
    if is_day and at.time() == datetime.min.time():
        return Moment(at.replace(tzinfo=None), False)
    if zone is not None and at.tzinfo is None:
        at = at.replace(tzinfo=ZoneInfo(zone))
    if at.tzinfo is not None and FIRST_YEAR <= at.year <= LAST_YEAR:
        at = at.astimezone(ZoneInfo(timezone)).replace(tzinfo=None)
    return Moment(at, has_time)
