"""Account and shadow as tables: one row per session, and one per difference."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from quant_pipeline.trading.shadow.causes import CAUSES, ShadowSession

SESSION_COLUMNS = {
    "date": "datetime64[ns]",
    "base": "float64",
    "account": "float64",
    "shadow": "float64",
    "difference": "float64",
    **dict.fromkeys(map(str, CAUSES), "float64"),
    "difference_bps": "float64",
    "decided_again": "bool",
}
DIFFERENCE_COLUMNS = {
    "date": "datetime64[ns]",
    "cause": "str",
    "instrument": "str",
    "client_order_id": "str",
    "amount": "float64",
    "detail": "str",
}


def sessions_table(sessions: Sequence[ShadowSession], decided_again: Sequence[pd.Timestamp] = ()) -> pd.DataFrame:
    """List sessions of account and shadow.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``base`` (net asset value before, with what was paid in), ``account`` and ``shadow`` (profit),
        ``difference`` (shadow less account), the sum of every cause, ``difference_bps`` of the base, and whether the
        decision was made again (else the recorded one counts, and neither revisions of its data nor changes of code
        show).
    """
    rows = [
        {
            "date": each.session,
            "base": each.base,
            "account": each.account,
            "shadow": each.shadow,
            "difference": each.difference,
            **each.by_cause(),
            "difference_bps": each.difference / each.base * 10_000 if each.base > 0 else None,
            "decided_again": each.session in decided_again,
        }
        for each in sessions
    ]
    return pd.DataFrame(rows, columns=list(SESSION_COLUMNS)).astype(SESSION_COLUMNS)


def differences_table(sessions: Sequence[ShadowSession]) -> pd.DataFrame:
    """List every difference, those of a session with the largest amounts first."""
    rows = [
        {"date": each.session, **difference._asdict()}
        for each in sessions
        for difference in sorted(each.differences, key=lambda found: -abs(found.amount))
    ]
    return pd.DataFrame(rows, columns=list(DIFFERENCE_COLUMNS)).astype(DIFFERENCE_COLUMNS)
