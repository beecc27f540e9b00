"""Evaluation of factor expressions on adjusted bars.

The interface is that of an engine; the numbers come from Qlib itself, on a provider written for the occasion.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from quant_pipeline.exceptions import FactorError
from quant_pipeline.market.qlib_provider import write_provider

logger = logging.getLogger(__name__)

_LOOKS_AHEAD = re.compile(r"Ref\([^()]*(?:\([^()]*\)[^()]*)*,\s*-\s*\d+\s*\)")
_INSTRUMENTS_AT_ONCE = 50
PANEL_INDEX = ["datetime", "instrument"]


def compute_factors(
    adjusted_bars: pd.DataFrame,
    expressions: Mapping[str, str],
    sessions: pd.DatetimeIndex,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
    *,
    allow_future: bool = False,
) -> pd.DataFrame:
    """Evaluate expressions for every instrument and session.

    Parameters
    ----------
    adjusted_bars
        ``date``, ``instrument``, adjusted prices and volume, sorted by instrument and date.
    expressions
        Factor name to Qlib expression.
    sessions
        The trading calendar; a session without a bar between the first and last bar of an instrument is a missing
        value to the operators, as in Qlib.
    start, end
        First and last session of the result; the operators see the whole history.
    allow_future
        Whether an expression may look ahead. Labels may, features must not.

    Returns
    -------
    pandas.DataFrame
        Panel ``(datetime, instrument) × factor``, float32, sorted. A row depends on bars at or before its session
        only, unless the expression looks ahead.

    Raises
    ------
    FactorError
        When a feature looks ahead, or Qlib cannot evaluate an expression.
    """
    if not allow_future:
        _refuse_future(expressions)
    with tempfile.TemporaryDirectory(prefix="quant-pipeline-") as folder:
        write_provider(adjusted_bars, sessions, Path(folder) / "provider")
        panel = _evaluate(
            Path(folder) / "provider", expressions, sorted(adjusted_bars["instrument"].unique()), start, end
        )
    panel = panel.swaplevel().sort_index()
    datetimes, instruments = panel.index.levels
    panel.index = panel.index.set_levels([datetimes.as_unit("ns"), instruments.astype("str")]).set_names(PANEL_INDEX)
    return panel


def _evaluate(
    provider: Path,
    expressions: Mapping[str, str],
    instruments: list[str],
    start: pd.Timestamp | None,
    end: pd.Timestamp | None,
) -> pd.DataFrame:
    import qlib
    from qlib.data import D

    from quant_pipeline.progress import track

    qlib.init(provider_uri=str(provider), logging_level=logging.WARNING, clear_mem_cache=True)
    fields = list(expressions.values())
    blocks = [instruments[i : i + _INSTRUMENTS_AT_ONCE] for i in range(0, len(instruments), _INSTRUMENTS_AT_ONCE)]
    description = f"computing {len(fields)} factors"
    parts = []
    for block in track(blocks, description) if len(fields) > 1 else blocks:
        try:
            part = D.features(block, fields, start_time=start, end_time=end, freq="day", disk_cache=0)
        except (AttributeError, NameError, SyntaxError, TypeError, ValueError) as error:
            raise FactorError(f"Qlib cannot evaluate one of {list(expressions)[:5]}…: {error}") from error
        parts.append(part.set_axis(list(expressions), axis=1).astype("float32"))
    return pd.concat(parts)


def _refuse_future(expressions: Mapping[str, str]) -> None:
    for name, expression in expressions.items():
        if _LOOKS_AHEAD.search(expression):
            raise FactorError(
                f"feature '{name}' looks ahead: {expression}. A negative Ref is allowed in labels only; remove it from "
                "the feature set."
            )
