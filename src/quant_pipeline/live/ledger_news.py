"""How far messages have covered the ledger, and whether it still is the one that they covered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from quant_pipeline.live import journal as lines
from quant_pipeline.live.account import LiveAccount
from quant_pipeline.live.notifications.messages import Message
from quant_pipeline.live.notifications.news import messages_of
from quant_pipeline.live.parameters import Level, Topic
from quant_pipeline.live.timetable import TaskKind

if TYPE_CHECKING:
    from quant_pipeline.live.process import Reach


class LedgerNews:
    """Reports what commands have recorded.

    Parameters
    ----------
    account, reach
        The account, and what the process reaches the world by.
    """

    def __init__(self, account: LiveAccount, reach: Reach) -> None:
        self._account, self._reach = account, reach

    def record(self, now: pd.Timestamp, event: str, **facts: Any) -> None:
        """Record an event and how far messages cover the ledger, in one line; then send what is new as messages."""
        state = self._reach.journal.state
        covered, news = self._account.news(state.reported)
        known: dict[str, Any] = {"reported": state.reported, "anchor": state.anchor}
        if covered is not None:
            known = {"reported": covered.sequence, "anchor": covered.hash}
        self._reach.journal.append(now, event, **facts, **known)
        for message in messages_of(self._account.name, news):
            self._reach.messages.send(message)

    def notice_restored(self, now: pd.Timestamp) -> bool:
        """Owe again what a ledger lacks that was put back from an earlier backup; return whether it was.

        The daily runs after its last booked session are owed again. At the simulated exchange, whose days can be
        repeated, all of them are caught up; a broker states the newest close only, and earlier ones are missed.
        """
        journal, account = self._reach.journal, self._account
        reported, begun = journal.state.reported, journal.state.begun
        found = None if reported is None else account.ledger_end(reported)
        if found is None or reported is None or begun is None:
            return False
        if found.length >= reported and journal.state.anchor in ("", found.hash_at):
            return False
        if account.is_simulated:
            begun = min(begun, account.owed_since(now, account.timetable(now, account.begins_at)))
        booked = "" if found.booked is None else f"{found.booked:%Y-%m-%d}"
        facts = {"kind": TaskKind.DAILY, "since": begun.isoformat(), "booked": booked, "reported": found.length}
        journal.append(now, lines.RESTORED, **facts, anchor=found.hash)
        journal.replay()
        title = f"{account.name}: another ledger lies there, booked up to {booked or 'no session'}"
        text = (
            f"It has {found.length} events, and messages covered {reported} of the one before: a backup was restored. "
            "The daily runs after that session are due again; a broker states its newest close only."
        )
        self._reach.messages.send(Message(Topic.ALERTS, Level.ALERT, title, text))
        return True
