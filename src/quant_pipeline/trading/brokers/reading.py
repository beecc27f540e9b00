"""Read the records of the port from a broker's rows, strictly: what is missing or not understood has no default."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import MISSING, Field, fields
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_type_hints

import pandas as pd

from quant_pipeline.trading.broker_records import OrderStatus
from quant_pipeline.trading.ports import BrokerUnavailableError

Record = TypeVar("Record")

_DAYS = ("date",)
"""Fields that are days; every other time is an instant and needs its time zone."""
_NO_NAMES: Mapping[str, str] = {}


def read_record(kind: type[Record], row: Mapping[str, Any], names: Mapping[str, str] = _NO_NAMES) -> Record:
    """Read a record of `quant_pipeline.trading.broker_records`.

    Parameters
    ----------
    kind
        Which record.
    row
        The broker's row: text, numbers and truth values as JSON has them. What no field needs is ignored.
    names
        By field: the broker's name of it, where that is another one.

    Returns
    -------
    Record
        Numbers are exact decimals, instants are UTC, words are members of their enumeration. A status of an order that
        the enumeration does not have is `OrderStatus.UNKNOWN`.

    Raises
    ------
    BrokerUnavailableError
        When a field is missing or cannot be read; an order that was answered like this has an unknown outcome.
    """
    values = {}
    for field, wanted in _fields_of(cast(Hashable, kind)):
        name = names.get(field.name, field.name)
        if name not in row:
            if field.default is MISSING and field.default_factory is MISSING:
                raise BrokerUnavailableError(f"a {kind.__name__} of the broker has no '{name}'; it cannot be read")
            continue
        try:
            values[field.name] = _read(row[name], wanted, field.name)
        except (TypeError, ValueError, InvalidOperation) as error:
            raise BrokerUnavailableError(
                f"'{name}' of a {kind.__name__} of the broker is {row[name]!r}, which cannot be read: {error}"
            ) from error
    return kind(**values)


@cache
def _fields_of(kind: Any) -> tuple[tuple[Field[Any], tuple[Any, ...]], ...]:
    hints = get_type_hints(kind)
    types = {name: get_args(hint) if isinstance(hint, UnionType) else (hint,) for name, hint in hints.items()}
    return tuple((field, types[field.name]) for field in fields(kind))


def _read(value: Any, wanted: tuple[Any, ...], field: str) -> Any:
    """Read one value as one of the types that its field takes."""
    if value is None:
        if NoneType not in wanted:
            raise ValueError("it is needed")
        return None
    kind = wanted[0]
    if kind is Decimal:
        return _decimal(value)
    if kind is pd.Timestamp:
        return _day(value) if field in _DAYS else _instant(value)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        is_new = kind is OrderStatus and value not in set(OrderStatus)
        return OrderStatus.UNKNOWN if is_new else kind(value)
    if kind in (str, bool) and not isinstance(value, kind):
        raise TypeError(f"it is not {kind.__name__}")
    return value


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool):
        raise TypeError("it is no number")
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError("it is not finite")
    return number


def _instant(value: Any) -> pd.Timestamp:
    at = pd.Timestamp(value)
    if at is pd.NaT or at.tzinfo is None:
        raise ValueError("it has no time zone")
    return at.tz_convert("UTC")


def _day(value: Any) -> pd.Timestamp:
    day = pd.Timestamp(value)
    if day is pd.NaT or day.tzinfo is not None or day != day.normalize():
        raise ValueError("it is no day")
    return day
