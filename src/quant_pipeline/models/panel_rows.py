"""Which rows of a panel are meant: by session, by membership.

A panel of fifty million rows is looked up by the codes of its index in a grid of sessions and instruments; a hash table
of its rows would take more memory than their features.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.market.dates import places_in
from quant_pipeline.market.instrument_rows import number_instruments
from quant_pipeline.models.panels import FeaturePanel, Features, MemoryPanel, PanelView, as_panel


def in_sessions(index: pd.MultiIndex, sessions: pd.DatetimeIndex) -> npt.NDArray[np.bool_]:
    """Return which rows belong to one of the sessions."""
    return np.asarray(index.levels[0].isin(sessions)[index.codes[0]])


def in_span(index: pd.MultiIndex, first: pd.Timestamp, last: pd.Timestamp | None = None) -> npt.NDArray[np.bool_]:
    """Return which rows lie between two dates, both included; None: up to the end."""
    days = index.levels[0]
    return np.asarray(((days >= first) & (days <= (days.max() if last is None else last)))[index.codes[0]])


def known_at_close(features: Features, session: pd.Timestamp) -> FeaturePanel:
    """Return the rows of a panel up to a session; nothing is read or copied of a panel in the order of sessions."""
    panel = as_panel(features)
    sessions, days = panel.index.levels[0], panel.index.codes[0]
    if panel.starts is None:
        return MemoryPanel(panel.read()[np.asarray(sessions <= session)[days]])
    known = sessions.searchsorted(session, side="right")
    return PanelView(panel, slice(0, int(np.searchsorted(days, known))))


def is_member(index: pd.MultiIndex, members: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which rows of a panel belong to the universe of their session.

    Parameters
    ----------
    index
        Of the panel, ``(datetime, instrument)``.
    members
        ``date``, ``instrument``: the universe.
    """
    sessions, instruments = index.levels
    session = places_in(pd.DatetimeIndex(sessions), members["date"].to_numpy())
    codes, names = number_instruments(members)
    # One more place, for what is missing: its code is -1.
    instrument = np.append(instruments.get_indexer(names), -1)[codes]
    known = (session >= 0) & (instrument >= 0)
    grid = np.zeros(index.levshape, dtype=bool)
    grid[session[known], instrument[known]] = True
    return np.asarray(grid[index.codes[0], index.codes[1]])
