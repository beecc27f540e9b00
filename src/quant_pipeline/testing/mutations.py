"""Changes of market files at random: those that leave the truth as it is, and those that have to be noticed.

A change that makes another file of the same kind, such as another digit of a price, is none of them, because no reader
can see it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

Mutation = Callable[[Path, np.random.Generator], bool]
"""Changes one file; returns whether it could."""

_GARBAGE = ("abc", "inf", "-inf", "1e999", "#REF!", "12.3.4", "1,2,3,4", "0x1F", "9/0", "½", "--5", "1;2", "true", "-3")
_FOREIGN = b"xq@!~?=&^\xff\xfe\x80\x00\x07"


class _Text:
    """A text file as lines of cells."""

    def __init__(self, file: Path) -> None:
        self.file = file
        content = file.read_bytes()
        self.bom = content.startswith(b"\xef\xbb\xbf")
        self.is_text = file.suffix in (".csv", ".txt")
        self.encoding = "utf-8-sig" if self.bom else "utf-8"
        if not self.is_text:
            return
        try:
            text = content.decode(self.encoding)
        except UnicodeDecodeError:
            self.encoding = "gb18030"
            text = content.decode(self.encoding)
        self.lines = text.splitlines()
        self.separator = "\t" if "\t" in self.lines[0] else ","
        self.is_quoted = '"' in text
        if self.is_quoted:
            self.cells = (
                pd.read_csv(io.StringIO(text), dtype=str, header=None, keep_default_na=False).to_numpy().tolist()
            )
        else:
            self.cells = [line.split(self.separator) for line in self.lines]
        first = self.cells[0]
        self.header_lines = 3 if first[0] == "Price" else 0 if first[0].isdigit() else 1

    def column(self, *names: str) -> int | None:
        """Return the place of the first column with one of the names."""
        if self.header_lines == 0:
            return {"open": 1, "close": 4, "volume": 5, "date": 0}.get(names[0])
        header = [name.strip().lower() for name in self.cells[0]]
        return next((index for index, name in enumerate(header) if name in names), None)

    def some_row(self, random: np.random.Generator) -> int:
        """Return the place of a row of data."""
        return int(random.integers(self.header_lines, len(self.cells)))

    def write(self, encoding: str | None = None, separator: str | None = None, ending: str = "\n") -> None:
        """Write the cells back."""
        separator = separator or self.separator

        def cell(text: str) -> str:
            return f'"{text}"' if separator in text or self.is_quoted else text

        lines = [separator.join(map(cell, row)) for row in self.cells]
        self.file.write_bytes((ending.join(lines) + ending).encode(encoding or self.encoding))


def _of_text(change: Callable[[_Text, np.random.Generator], bool]) -> Mutation:
    def mutate(file: Path, random: np.random.Generator) -> bool:
        text = _Text(file)
        return text.is_text and len(getattr(text, "cells", [])) > 5 and change(text, random)

    return mutate


_PRICES = ("close", "close/last", "<close>", "4. close", "c", "price", "收盘")
_VOLUMES = ("volume", "<vol>", "v", "vol.", "vol", "成交量", "5. volume", "6. volume")
_ACTIONS = (
    "stock splits",
    "split_coefficient",
    "splitfactor",
    "split_ratio",
    "dividends",
    "dividend_amount",
    "divcash",
)


def _garbage_in(*names: str) -> Mutation:
    def change(text: _Text, random: np.random.Generator) -> bool:
        index = text.column(*names)
        if index is None:
            return False
        text.cells[text.some_row(random)][index] = str(random.choice(_GARBAGE))
        text.write()
        return True

    return _of_text(change)


def _blank(text: _Text, random: np.random.Generator) -> bool:
    index = text.column(*_PRICES) if random.random() < 0.5 else text.column(*_VOLUMES)
    if index is None:
        return False
    text.cells[text.some_row(random)][index] = ""
    text.write()
    return True


def _times_hundred(text: _Text, random: np.random.Generator) -> bool:
    index = text.column(*_PRICES)
    row = int(random.integers(text.header_lines + 2, len(text.cells) - 2))
    if index is None or text.is_quoted or not text.cells[row][index].replace(".", "").isdigit():
        return False
    text.cells[row][index] = repr(float(text.cells[row][index]) * 100)
    text.write()
    return True


def _repeat_row(text: _Text, random: np.random.Generator) -> bool:
    row = text.some_row(random)
    text.cells.insert(int(random.integers(text.header_lines, len(text.cells) + 1)), list(text.cells[row]))
    text.write()
    return True


def _contradict_row(text: _Text, random: np.random.Generator) -> bool:
    place, row = text.column("open", "<open>", "1. open", "o", "开盘"), text.some_row(random)
    if place is None or text.is_quoted or not text.cells[row][place].replace(".", "").isdigit():
        return False
    again = list(text.cells[row])
    again[place] = repr(float(again[place]) * 1.001)
    text.cells.insert(row, again)
    text.write()
    return True


def _shuffle(text: _Text, random: np.random.Generator) -> bool:
    rows = text.cells[text.header_lines :]
    order = random.permutation(len(rows))
    text.cells[text.header_lines :] = [rows[place] for place in order]
    text.write()
    return True


def _reorder_columns(text: _Text, random: np.random.Generator) -> bool:
    if text.header_lines != 1:
        return False
    order = random.permutation(len(text.cells[0]))
    text.cells = [[row[place] for place in order] for row in text.cells]
    text.write()
    return True


def _remove_column(text: _Text, random: np.random.Generator) -> bool:
    index = text.column(*_PRICES) if random.random() < 0.5 else text.column(*_VOLUMES)
    if text.header_lines != 1 or index is None:
        return False
    text.cells = [row[:index] + row[index + 1 :] for row in text.cells]
    text.write()
    return True


def _add_column(text: _Text, random: np.random.Generator) -> bool:
    if text.header_lines != 1:
        return False
    index = int(random.integers(0, len(text.cells[0]) + 1))
    for number, row in enumerate(text.cells):
        row.insert(index, "rating" if number == 0 else str(random.integers(0, 9)))
    text.write()
    return True


def _add_factor(text: _Text, random: np.random.Generator) -> bool:
    if text.header_lines != 1:
        return False
    for number, row in enumerate(text.cells):
        row.append(str(random.choice(["bonus_ratio", "div_factor", "split_info"])) if number == 0 else "1.0")
    text.write()
    return True


def _encode(text: _Text, random: np.random.Generator) -> bool:
    text.write(encoding=str(random.choice(["utf-16", "utf-8-sig", "utf-8", "utf-32"])))
    return True


def _end_lines(text: _Text, random: np.random.Generator) -> bool:
    text.write(ending=str(random.choice(["\r\n", "\n\n"])))
    return True


def _separate(text: _Text, random: np.random.Generator) -> bool:
    text.write(separator=str(random.choice([";", "\t", "|"])))
    return True


def _add_lines(text: _Text, random: np.random.Generator) -> bool:
    width = len(text.cells[0])
    text.cells += [[""] * width, ["Source: a vendor"] + [""] * (width - 1)]
    text.write()
    return True


def _add_preamble(text: _Text, random: np.random.Generator) -> bool:
    if text.header_lines != 1:
        return False
    text.cells.insert(0, ["Prices of the exchange"])
    text.write()
    return True


def _foreign_byte(file: Path, random: np.random.Generator) -> bool:
    content = bytearray(file.read_bytes())
    if file.suffix not in (".csv", ".txt") or b"|" in content[:50]:
        return False
    header = content.find(b"\n")
    index = int(random.integers(0 if random.random() < 0.2 else header + 1, len(content)))
    if chr(content[index]).isalpha() and index > header:
        return False
    content[index] = int(random.choice(list(_FOREIGN)))
    file.write_bytes(bytes(content))
    return True


def _cut(file: Path, random: np.random.Generator) -> bool:
    content = file.read_bytes()
    if file.suffix in (".csv", ".txt"):
        places = [index for index, byte in enumerate(content) if byte == 10]
        if len(places) < 8:
            return False
        line = int(random.integers(5, len(places) - 1))
        row = content[places[line] : places[line + 1]]
        inside = row.find(b"\t" if b"\t" in row else b",")
        file.write_bytes(content[: places[line] + max(inside, 0)])
        return True
    file.write_bytes(content[: int(random.integers(0, max(1, len(content) - 1)))])
    return True


def _empty(file: Path, random: np.random.Generator) -> bool:
    file.write_bytes(b"" if random.random() < 0.5 else b"\n")
    return True


def _noise(file: Path, random: np.random.Generator) -> bool:
    file.write_bytes(random.bytes(int(random.integers(1, 3000))))
    return True


def _page(file: Path, random: np.random.Generator) -> bool:
    text = "<html><body>404 not found</body></html>" if random.random() < 0.5 else '{"error": "limit reached"}'
    file.write_text(text, encoding="utf-8")
    return True


def _litter(file: Path, random: np.random.Generator) -> bool:
    (file.parent / f"._{file.name}").write_bytes(random.bytes(100))
    return True


MUTATIONS: Mapping[str, Mutation] = {
    "garbage in a price": _garbage_in(*_PRICES),
    "garbage in a volume": _garbage_in(*_VOLUMES),
    "garbage in a split or dividend": _garbage_in(*_ACTIONS),
    "garbage in a date": _garbage_in("date", "timestamp", "<date>", "trade_date", "日期", "window_start", "t"),
    "empty cell": _of_text(_blank),
    "close times hundred": _of_text(_times_hundred),
    "row twice": _of_text(_repeat_row),
    "row twice with another open": _of_text(_contradict_row),
    "rows in another order": _of_text(_shuffle),
    "columns in another order": _of_text(_reorder_columns),
    "column removed": _of_text(_remove_column),
    "column added": _of_text(_add_column),
    "column of actions added": _of_text(_add_factor),
    "another encoding": _of_text(_encode),
    "other ends of lines": _of_text(_end_lines),
    "another separator": _of_text(_separate),
    "lines after the data": _of_text(_add_lines),
    "line before the header": _of_text(_add_preamble),
    "foreign byte": _foreign_byte,
    "file cut": _cut,
    "empty file": _empty,
    "noise": _noise,
    "page of an error": _page,
    "litter beside": _litter,
}
