"""Labels of axes that differ from each other: enough decimals for the values shown, and days where few are shown."""

from __future__ import annotations

import math
import re
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

_FORMAT = re.compile(r"(?P<before>\+?,?)\.(?P<digits>\d+)(?P<trim>~?)(?P<kind>[%fs])")
TICKS = 6
"""About how many ticks an axis has."""
MOST_DIGITS = 12
"""Digits beyond which a label is no help."""
FEW_DAYS = 10
"""Days up to which each one is labelled; plotly would put hours between them."""


def label_apart(figure: go.Figure) -> go.Figure:
    """Give axes of values as many decimals as their ticks need to differ, and a label to each of a few days.

    Parameters
    ----------
    figure
        It is changed. An axis without a ``tickformat``, or of another kind than ``.2f``, ``.0%`` and ``.3s``, stays.
    """
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        if written := _finer(str(axis.tickformat or ""), _values(figure, axis.plotly_name)):
            axis.tickformat = written
    days = pd.DatetimeIndex([]) if figure.layout.xaxis.type == "category" else _days(figure)
    if 0 < len(days) <= FEW_DAYS:
        are_months = len(days) > 1 and all(day.day == 1 for day in days)
        figure.update_xaxes(tickmode="array", tickvals=days, tickformat="%b %Y" if are_months else "%-d %b")
    return figure


def _finer(written: str, values: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """Return a format with more digits where neighbouring ticks would look the same; empty where it need not change."""
    parts = _FORMAT.fullmatch(written)
    if parts is None or len(values) == 0 or not np.ptp(values) > 0:
        return ""
    step = float(np.ptp(values)) / TICKS * (100.0 if parts["kind"] == "%" else 1.0)
    needed = -math.floor(math.log10(step))
    if parts["kind"] == "s":
        needed += 1 + math.floor(math.log10(float(np.abs(values).max())))
    if needed <= int(parts["digits"]):
        return ""
    return f"{parts['before']}.{min(needed, MOST_DIGITS)}{parts['trim']}{parts['kind']}"


def _values(figure: go.Figure, axis: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return what is drawn along an axis, with zero where the axis reaches it; nothing of one of names or days."""
    along = axis[0]
    shown = [_array(trace[along]) for trace in _traces_on(figure, axis)]
    found = [values.astype("float64") for values in shown if values.dtype.kind in "bfiu"]
    reaches_zero = figure.layout[axis].rangemode == "tozero" or any(
        _begins_at_zero(trace, along) for trace in _traces_on(figure, axis)
    )
    values = np.concatenate([*found, [0.0] if reaches_zero else []])
    return values[np.isfinite(values)]


def _begins_at_zero(trace: Any, along: str) -> bool:
    """Return whether a trace is filled from zero along ``x`` or ``y``; bars that are horizontal lie along ``x``."""
    if trace.type == "bar":
        return bool((trace.orientation == "h") == (along == "x"))
    return bool(trace.fill == f"tozero{along}")


def _traces_on(figure: go.Figure, axis: str) -> Iterator[Any]:
    along, name = axis[0], f"{axis[0]}axis"
    for trace in figure.data:
        if trace.type in ("scatter", "bar") and (trace[name] or along).replace(along, name, 1) == axis:
            yield trace


def _days(figure: go.Figure) -> pd.DatetimeIndex:
    """Return the days on the time axis; none where it shows something else."""
    shown = [_array(trace.x) for trace in figure.data if trace.type in ("scatter", "bar") and trace.x is not None]
    try:
        days = [pd.to_datetime(x, format="ISO8601") for x in shown if x.dtype.kind in "MOU"]
    except ValueError:
        return pd.DatetimeIndex([])
    return days[0].append(days[1:]).unique().sort_values() if days and len(days) == len(shown) else pd.DatetimeIndex([])


def _array(values: Any) -> np.ndarray[Any, Any]:
    """Return the values of a trace; a figure that was read from JSON holds them as bytes in base64."""
    if isinstance(values, dict):
        return np.frombuffer(b64decode(values["bdata"]), dtype=values["dtype"])
    return np.asarray(values)
