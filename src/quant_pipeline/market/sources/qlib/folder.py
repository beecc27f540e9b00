"""A folder in Qlib's binary format: calendar, universes with ranges, one file per instrument and field.

Source of the format: ``scripts/dump_bin.py`` and ``qlib/data/storage/file_storage.py`` of Qlib 0.9.7. A file of
``features/<instrument in lower case>/<field>.day.bin`` is little-endian float32; its first number is the place of the
second one in ``calendars/day.txt``. A missing number is a session without a bar.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.common.text_lines import lines_of
from quant_pipeline.market.qlib_provider import folder_name
from quant_pipeline.market.sources.files.dates import YEARS

ENDING: Final = ".day.bin"
_FIRST: Final = pd.Timestamp(YEARS[0], 1, 1)
_LAST: Final = pd.Timestamp(YEARS[1], 12, 31)
"""Days that a date may be."""


_WITH_ZONE: Final = r"[zZ]$|\d[T ]\d.*(?:[+-]\d{1,2}(?::?\d{2}){0,2}|[A-Za-z]{3,})$"
"""How texts end that name a zone after a time of day."""


class Stored(NamedTuple):
    """Numbers of one field, from a place in the calendar on."""

    first: int
    values: npt.NDArray[np.float32]


@dataclass(frozen=True)
class QlibFolder:
    """A provider.

    Attributes
    ----------
    path
        Its folder.
    sessions
        Days of its calendar, without those of ``day_future.txt``.
    """

    path: Path
    sessions: pd.DatetimeIndex

    @classmethod
    def open(cls, path: Path) -> QlibFolder:
        """Read the calendar of a provider.

        Raises
        ------
        MarketDataError
            When there is no folder, or none in this format, or its calendar is empty or out of order.
        """
        calendar = path / "calendars" / "day.txt"
        if not calendar.is_file():
            raise MarketDataError(f"{path} is no Qlib provider: {_what_is_wrong(path)}; correct `provider_uri`")
        lines = [line.strip() for line in _lines(calendar) if line.strip()]
        days = _moments(lines)
        days = days.where(days.between(_FIRST, _LAST))
        if days.isna().any():
            raise MarketDataError(
                f"{calendar} holds {lines[int(days.isna().argmax())]!r}, which is no date; correct it"
            )
        sessions = pd.DatetimeIndex(days).as_unit("ns")
        if not len(sessions) or not (sessions.is_monotonic_increasing and sessions.is_unique):
            what = "is empty" if not len(sessions) else "is not in order, or has a day twice"
            raise MarketDataError(f"{calendar} {what}; dump the provider again")
        if (sessions != sessions.normalize()).any():
            raise MarketDataError(f"{calendar} holds times of day; the bars of a day are needed")
        return cls(path, sessions)

    def universes(self) -> list[str]:
        """Return the names of the universes."""
        return sorted(file.stem for file in (self.path / "instruments").glob("*.txt"))

    def members(self, universe: str) -> pd.DataFrame:
        """Read the ranges of a universe: ``instrument``, ``start`` and ``end``; an instrument may have several.

        Raises
        ------
        MarketDataError
            When there is no such universe, or a line is none of instrument and two dates.
        """
        file = self.path / "instruments" / f"{universe.lower()}.txt"
        if universe.lower() not in self.universes():
            named = first_of(self.universes()) or "none"
            near = difflib.get_close_matches(universe.lower(), self.universes(), n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise MarketDataError(f"{self.path} has no universe '{universe}'; there are {named}{hint}")
        text = _lines(file)
        rows = [(number, line.split("\t")) for number, line in enumerate(text, start=1) if line.strip()]
        for number, cells in rows:
            if len(cells) < 3 or not cells[0].strip():
                raise MarketDataError(
                    f"{file}, row {number}: {text[number - 1]!r} is no instrument with its first and last day, "
                    "separated by tabs; correct it"
                )
        table = pd.DataFrame(
            {
                "instrument": pd.array([cells[0].strip() for _, cells in rows], dtype="str"),
                "start": _dates([cells[1] for _, cells in rows], file, rows),
                "end": _dates([cells[2] for _, cells in rows], file, rows),
            }
        )
        return table[table["start"] <= table["end"]].drop_duplicates(ignore_index=True)

    def fields_of(self, instrument: str) -> list[str]:
        """Return the names of the fields that an instrument has; none where it has no folder."""
        return sorted(file.name.removesuffix(ENDING) for file in self._features(instrument).glob(f"*{ENDING}"))

    def read(self, instrument: str, field: str) -> Stored | None:
        """Read one field of an instrument; None where there is none.

        Raises
        ------
        MarketDataError
            When the file is cut off, or reaches beyond the calendar.
        """
        file = self._features(instrument) / f"{field}{ENDING}"
        if not file.is_file():
            return None
        content = file.read_bytes()
        if len(content) % 4:
            raise MarketDataError(f"{file} has {len(content)} bytes, which are no whole numbers of four; dump it again")
        numbers = np.frombuffer(content, dtype="<f4")
        if len(numbers) < 2:
            return None
        first = numbers[0]
        if not (np.isfinite(first) and first >= 0 and first == np.floor(first)):
            raise MarketDataError(f"{file} begins with {first:g}, which is no place in the calendar; dump it again")
        if int(first) + len(numbers) - 1 > len(self.sessions):
            raise MarketDataError(
                f"{file} reaches {int(first) + len(numbers) - 1 - len(self.sessions)} days beyond the calendar, which "
                f"ends on {self.sessions[-1]:%Y-%m-%d}; dump calendar and features together"
            )
        return Stored(int(first), numbers[1:])

    def _features(self, instrument: str) -> Path:
        return self.path / "features" / folder_name(instrument)


def is_of_provider(path: Path) -> bool:
    """Whether a file is one of a calendar, of a universe, or of a field."""
    return path.name.endswith((ENDING, ".txt"))


def _lines(file: Path) -> list[str]:
    try:
        return lines_of(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise MarketDataError(f"{file} is no text in UTF-8 (byte {error.start}); dump it again") from error


def _dates(texts: list[str], file: Path, rows: list[tuple[int, list[str]]]) -> pd.Series:
    dates = _moments([text.strip() for text in texts])
    if dates.isna().any():
        place = int(dates.isna().argmax())
        raise MarketDataError(f"{file}, row {rows[place][0]}: {texts[place]!r} is no date; correct it")
    # A universe that ends in the year 9999 goes on.
    return dates.clip(_FIRST, _LAST).astype("datetime64[ns]")


def _moments(texts: list[str]) -> pd.Series:
    """Read texts as moments without a zone, as this format has them; what has one, or is no date, is missing."""
    column = pd.Series(texts, dtype="str")
    column = column.mask(column.str.contains(_WITH_ZONE), "")
    return pd.to_datetime(column, errors="coerce", format="mixed")


def _what_is_wrong(path: Path) -> str:
    if not path.is_dir():
        return "there is no such folder"
    calendars = sorted(file.stem for file in (path / "calendars").glob("*.txt"))
    if calendars:
        return f"it has no calendars/day.txt, only {first_of(calendars)}, and daily bars are needed"
    inner = sorted(each.name for each in path.iterdir() if (each / "calendars" / "day.txt").is_file())
    if inner:
        return f"one lies below it, {path / inner[0]}"
    return "it has no calendars/day.txt"
