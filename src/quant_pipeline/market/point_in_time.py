"""The market as it was known at the close of one session, cut from tables that may reach further."""

from __future__ import annotations

import pandas as pd

from quant_pipeline.common.exceptions import StaleDataError


def known_at(
    as_of: str | pd.Timestamp, sessions: pd.DataFrame, *tables: pd.DataFrame
) -> tuple[pd.DatetimeIndex, *tuple[pd.DataFrame, ...]]:
    """Cut the market at a session, so that an old day can be run again after newer bars have come in.

    Parameters
    ----------
    as_of
        The session at whose close to stand.
    sessions
        ``date`` of every ingested session.
    *tables
        Tables with a column ``date``: bars, corporate actions.

    Returns
    -------
    tuple
        Sessions up to ``as_of``, then every table up to ``as_of``, in its order, with a fresh index.

    Raises
    ------
    StaleDataError
        When ``as_of`` has not been ingested.
    """
    session = pd.Timestamp(as_of)
    days = pd.DatetimeIndex(sessions["date"])
    if session not in days:
        reach = f"reaches {days.max():%Y-%m-%d}" if len(days) else "is empty"
        raise StaleDataError(
            f"the ingested market {reach} and has no session {session:%Y-%m-%d}. Run "
            f"`kedro run --pipelines ingestion --params as_of={session:%Y-%m-%d}` first."
        )
    if days.max() == session:
        return days, *tables
    return days[days <= session], *(table[table["date"] <= session].reset_index(drop=True) for table in tables)
