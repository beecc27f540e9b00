"""Labels: the return that a decision would have earned.

The one place in which labels are made. Training, validation, information coefficients, quantile returns, decay and the
weights of combinations all read what `compute_labels` returns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.factors.engine import compute_factors
from quant_pipeline.factors.model_label import ModelLabel
from quant_pipeline.market.clock import EXECUTION_LAG, DealPrice, label_lag
from quant_pipeline.market.delistings import received_values
from quant_pipeline.market.volume import has_traded

BETWEEN: Final = "; "
"""What separates the labels of models whose scores were fused."""
_ENTRY = "entry"
"""Column of the execution price of a decision, beside the labels."""


def label_expression(deal_price: DealPrice, horizon: int) -> str:
    """Return the label of a decision at session ``t``, for an instrument whose listing goes on.

    Parameters
    ----------
    deal_price
        Field at which orders execute: ``open``, ``close`` or ``vwap``.
    horizon
        Sessions between buying in ``t + EXECUTION_LAG`` and selling.

    Returns
    -------
    str
        Qlib expression. It looks ahead: its value is known :func:`~quant_pipeline.market.clock.label_lag` sessions
        after ``t``. It knows no delistings; `compute_labels` does.
    """
    return f"Ref(${deal_price}, -{label_lag(horizon)})/{_entry_expression(deal_price)}-1"


def expression_of(label: ModelLabel, deal_price: DealPrice) -> str:
    """Return a label as an expression, given the execution price of the market; see `label_expression`."""
    return label_expression(label.price or deal_price, label.horizon)


def compute_labels(
    adjusted_bars: pd.DataFrame,
    corporate_actions: pd.DataFrame,
    sessions: pd.DatetimeIndex,
    deal_price: DealPrice,
    horizons: Mapping[str, int],
) -> pd.DataFrame:
    """Compute what a position bought by the decision of each session earns over some horizons.

    The exit price is the execution price of session ``t + 1 + horizon``. A position that is delisted at or before that
    session exits at what it received then (`received_values`), and holds this cash to the end of the horizon. All else
    is Qlib's value of `label_expression`: a position that cannot be bought because the instrument is suspended in
    ``t + 1``, or not be sold because it is suspended in ``t + 1 + horizon``, has no label. A bar without volume is a
    suspension.

    Parameters
    ----------
    adjusted_bars
        ``date``, ``instrument``, adjusted prices and ``factor``, sorted by instrument and date.
    corporate_actions
        ``date``, ``instrument``, ``kind``, ``value``.
    sessions
        The trading calendar up to the session at whose close the market is known.
    deal_price
        Field at which orders execute.
    horizons
        Name of a column to its horizon in sessions.

    Returns
    -------
    pandas.DataFrame
        Panel ``(datetime, instrument) × horizon``, float64. A label is known
        :func:`~quant_pipeline.market.clock.label_lag` sessions after its row, delisting or not; one whose exit lies
        after the last of the `sessions` is missing, also where the value of a delisting is known already.
    """
    expressions = {name: label_expression(deal_price, horizon) for name, horizon in horizons.items()}
    expressions[_ENTRY] = _entry_expression(deal_price)
    tradable = adjusted_bars.assign(**{deal_price: adjusted_bars[deal_price].where(has_traded(adjusted_bars))})
    panel = compute_factors(tradable, expressions, sessions, allow_future=True).astype("float64")
    entry_price = panel.pop(_ENTRY)
    ended = _next_delisting(panel.index, received_values(adjusted_bars, corporate_actions), sessions)
    for name, horizon in horizons.items():
        leaves = ended.entry + horizon
        inside = (ended.delisted <= leaves) & (leaves < len(sessions))
        rows = ended.row[inside]
        outcome = ended.received[inside] / entry_price.iloc[rows].to_numpy() - 1.0
        panel.iloc[rows, panel.columns.get_loc(name)] = outcome
    return panel


def _entry_expression(deal_price: DealPrice) -> str:
    return f"Ref(${deal_price}, -{EXECUTION_LAG})"


class _Ended(NamedTuple):
    """Rows of a panel with a delisting after their entry: places in the panel and the calendar, what is received."""

    row: npt.NDArray[np.int64]
    entry: npt.NDArray[np.int64]
    delisted: npt.NDArray[np.int64]
    received: npt.NDArray[np.float64]


def _next_delisting(index: pd.MultiIndex, received: pd.DataFrame, sessions: pd.DatetimeIndex) -> _Ended:
    """Find the first delisting after the entry of every row of a panel: only rows that have one with a known value."""
    # A delisting between two sessions pays in the later one, after which the position is gone.
    paid = sessions.searchsorted(received["date"])
    ending = index.levels[1].get_indexer(received["instrument"])
    value = received["received"].to_numpy(dtype=np.float64)
    rows = np.flatnonzero(np.bincount(ending[ending >= 0], minlength=len(index.levels[1]))[index.codes[1]])
    entry = (sessions.get_indexer(index.levels[0]) + EXECUTION_LAG)[index.codes[0][rows]]
    # Instrument and session as one number, by which the next delisting of an instrument is looked up.
    latest = len(sessions) + EXECUTION_LAG
    by_instrument = ending.astype(np.int64) * (latest + 1) + paid
    order = np.argsort(by_instrument, kind="stable")
    instrument = index.codes[1][rows].astype(np.int64)
    place = np.searchsorted(by_instrument[order], instrument * (latest + 1) + entry, side="right")
    found = order[np.minimum(place, len(order) - 1)] if len(order) else np.zeros(len(rows), dtype=np.int64)
    known = (place < len(order)) & (ending[found] == instrument) & ~np.isnan(value[found])
    return _Ended(rows[known], entry[known], paid[found[known]], value[found[known]])


def is_label_of(expression: str, deal_price: DealPrice) -> bool:
    """Return whether an expression is a label of this execution price, whatever its horizon.

    Parameters
    ----------
    expression
        What a model was trained to predict.
    deal_price
        Field at which orders execute now.
    """
    ends = re.findall(r"-(\d+)\)", expression)
    horizon = int(ends[0]) - EXECUTION_LAG if ends else 0
    return horizon > 0 and expression == label_expression(deal_price, horizon)


def known_after(expression: str) -> int:
    """Return how many sessions after its row a label is known, from its expression; 0 for one that looks at no later.

    Examples
    --------
    >>> known_after("Ref($open, -2)/Ref($open, -1)-1")
    2
    """
    return max((int(sessions) for sessions in re.findall(r"-(\d+)\)", expression)), default=0)


def describe_label(expression: str) -> str:
    """Say in words what a label is: its price and its horizon.

    Examples
    --------
    >>> describe_label("Ref($open, -6)/Ref($open, -1)-1")
    'open, 5 sessions'
    """
    price = re.match(r"Ref\(\$(open|close|vwap), ", expression)
    horizon = known_after(expression) - EXECUTION_LAG
    if price is None or horizon < 1:
        return expression
    return f"{price[1]}, {horizon} session{'' if horizon == 1 else 's'}"


def stated_label(scores: pd.DataFrame) -> str:
    """Return what the models behind a table of scores were trained to predict.

    Parameters
    ----------
    scores
        A table with the column ``label``; tables that are older than that column lack it.

    Returns
    -------
    str
        The distinct labels, separated by `BETWEEN`; empty when a row does not state its own.
    """
    if "label" not in scores.columns:
        return ""
    stated = pd.Series(_distinct(scores["label"]))
    return "" if stated.isna().any() or stated.eq("").any() else BETWEEN.join(sorted(stated))


def _distinct(column: pd.Series) -> Any:
    """Return the different texts of a column; one that is the same in all rows is not looked up for each."""
    if isinstance(column.dtype, pd.StringDtype) and column.dtype.storage == "pyarrow":
        held = column.array.__arrow_array__()
        if len(held) and held.slice(1).equals(held.slice(0, len(held) - 1)):
            return column.iloc[:1]
    return column.unique()


def require_price(named: str, stated: str, deal_price: DealPrice, *, remedy: str, trained: str) -> None:
    """Refuse scores of models that predict what a trade at this price does not earn.

    Parameters
    ----------
    named
        Whose scores they are, for the message.
    stated
        What the models were trained to predict, as `stated_label` returns it.
    deal_price
        Field at which orders execute now.
    remedy, trained
        What makes scores that state their label, and what makes scores of this price: ends of the messages.

    Raises
    ------
    ConfigurationError
        When the scores predict returns between other prices.
    StaleDataError
        When they do not state what they predict.
    """
    if not stated:
        raise StaleDataError(f"the scores of {named} do not state what they predict; {remedy}.")
    if not all(is_label_of(label, deal_price) for label in stated.split(BETWEEN)):
        raise ConfigurationError(
            f"the scores of {named} predict {stated}, but market_rules.deal_price is {deal_price}. Set it back, or "
            f"{trained}."
        )
