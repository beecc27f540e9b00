"""The compact protocol of Thrift, in which Parquet says how a file is laid out: where values are, and whole numbers.

See ``thrift-compact-protocol.md`` of the Apache Software Foundation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

_BYTE, _DOUBLE, _TEXT, _STRUCT = 3, 7, 8, 12
"""Kinds of values. Below a byte the kind is the value; up to a double there are whole numbers, up to a struct lists."""
_LONG: Final = 15
"""Stands for the length of a list that is given after it."""


class Value(NamedTuple):
    """A value, by where it is among the bytes.

    Attributes
    ----------
    start, stop
        Its first byte, and the first one after it.
    parts
        Of a struct its fields by their numbers, of a list its elements by their places.
    """

    start: int
    stop: int
    parts: dict[int, Value]

    def number(self, data: bytes) -> int:
        """Return the whole number that it is, which is not negative."""
        return _read_length(data, self.start)[0] >> 1

    def cut(self, data: bytes, *parts: Value) -> list[bytes]:
        """Return what is before, between and after some values within this one."""
        ends = [self.start, *chain.from_iterable(part[:2] for part in parts), self.stop]
        return [data[start:stop] for start, stop in zip(ends[::2], ends[1::2], strict=True)]


def read_struct(data: bytes, start: int = 0) -> Value:
    """Return where a struct ends, and where its values are."""
    parts, field, at = {}, 0, start
    while head := data[at]:
        step, at = (head >> 4, at + 1) if head >> 4 else _read_length(data, at + 1)
        field = field + step if head >> 4 else step >> 1
        parts[field] = _read(data, at, head & 15)
        at = parts[field].stop
    return Value(start, at + 1, parts)


def fill(pieces: Sequence[bytes], *values: bytes) -> bytes:
    """Return pieces with values between them; see `Value.cut`."""
    return b"".join(chain.from_iterable(zip(pieces, [*values, b""], strict=True)))


def whole_number(value: int) -> bytes:
    """Return a whole number that is not negative: zigzag, seven bits a byte, the lowest first."""
    return _length(value << 1)


def structs(found: Sequence[bytes]) -> bytes:
    """Return a list of structs."""
    return _list(_STRUCT, found)


def texts(found: Sequence[str]) -> bytes:
    """Return a list of texts."""
    encoded = [text.encode() for text in found]
    return _list(_TEXT, [_length(len(text)) + text for text in encoded])


def _read(data: bytes, at: int, kind: int) -> Value:
    if kind == _STRUCT:
        return read_struct(data, at)
    if kind <= _BYTE:
        return Value(at, at + (kind == _BYTE), {})
    if kind < _DOUBLE:
        return Value(at, _read_length(data, at)[1], {})
    if kind == _DOUBLE:
        return Value(at, at + 8, {})
    if kind == _TEXT:
        length, after = _read_length(data, at)
        return Value(at, after + length, {})
    parts = dict(enumerate(_elements(data, at)))
    return Value(at, parts[len(parts) - 1].stop if parts else at + 1, parts)


def _elements(data: bytes, at: int) -> Iterator[Value]:
    kind, count, at = data[at] & 15, data[at] >> 4, at + 1
    if count == _LONG:
        count, at = _read_length(data, at)
    for _ in range(count):
        element = _read(data, at, max(kind, _BYTE))
        at = element.stop
        yield element


def _list(kind: int, elements: Sequence[bytes]) -> bytes:
    count = len(elements)
    head = bytes([count << 4 | kind]) if count < _LONG else bytes([_LONG << 4 | kind]) + _length(count)
    return head + b"".join(elements)


def _length(left: int) -> bytes:
    found = bytearray()
    while left > 0x7F:
        found.append(left & 0x7F | 0x80)
        left >>= 7
    found.append(left)
    return bytes(found)


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while data[at] > 0x7F:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return value | data[at] << shift, at + 1
