"""The market of the rehearsal: invented prices, under the names and in the shares that instruments have by now."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Final

import pandas as pd

from quant_pipeline.common.atomic import write_text
from quant_pipeline.testing.fake_alpaca.bookings import TICK
from quant_pipeline.testing.fake_alpaca.tape import MarketTape

SYMBOLS: Final = ("AAPL", "CAT", "JPM", "KO", "MSFT", "NEE", "PFE", "XOM")
FILE: Final = "market.json"
"""File in the folder of a rehearsal: what has happened to instruments that the tape does not know."""


class RehearsedMarket:
    """Prices and corporate actions of a tape after renamings and splits that came overnight.

    The market goes on as a real one does: an instrument that was renamed trades under its new name only, one that was
    split at prices of the new shares.

    Parameters
    ----------
    tape
        Prices by the first names.
    folder
        Folder of the rehearsal; its commands read there what the stage has written.
    """

    def __init__(self, tape: MarketTape, folder: Path) -> None:
        self._tape, self._file = tape, folder / FILE

    def prices_at(self, session: pd.Timestamp, has_closed: bool) -> dict[str, Decimal]:
        """Return what every instrument costs; see `MarketTape.prices_at`."""
        names, splits = self._changes()
        known = self._tape.prices_at(session, has_closed)
        return {names.get(first, first): _in_new_shares(price, splits.get(first, [])) for first, price in known.items()}

    def actions_of(self, session: pd.Timestamp) -> list[tuple[str, str, Decimal]]:
        """List the splits and dividends of the tape; see `MarketTape.actions_of`."""
        names, _ = self._changes()
        return [(names.get(first, first), kind, value) for first, kind, value in self._tape.actions_of(session)]

    def rename(self, old: str, new: str) -> None:
        """Let an instrument trade under another name from now on."""
        names, splits = self._changes()
        self._write({**names, self._first_of(old): new}, splits)

    def split(self, name: str, ratio: str) -> None:
        """Let an instrument trade in new shares from now on, ``ratio`` per old one."""
        names, splits = self._changes()
        first = self._first_of(name)
        self._write(names, {**splits, first: [*splits.get(first, []), ratio]})

    def _first_of(self, name: str) -> str:
        return next((first for first, now in self._changes()[0].items() if now == name), name)

    def _changes(self) -> tuple[dict[str, str], dict[str, list[str]]]:
        try:
            found = json.loads(self._file.read_text())
        except FileNotFoundError:
            return {}, {}
        return found["names"], found["splits"]

    def _write(self, names: dict[str, str], splits: dict[str, list[str]]) -> None:
        write_text(self._file, json.dumps({"names": names, "splits": splits}))


@lru_cache(maxsize=1)
def tape_between(start: str, end: str) -> MarketTape:
    """Return the prices of the rehearsal between two dates, the same in every process."""
    tape = MarketTape.simulated([*SYMBOLS], start, end)
    tape.prices_at(tape.bars["date"].iloc[-1], True)  # Commands are forks: what is made once here, none makes again.
    return tape


def _in_new_shares(price: Decimal, ratios: list[str]) -> Decimal:
    for ratio in ratios:
        price = (price / Decimal(ratio)).quantize(TICK)
    return price
