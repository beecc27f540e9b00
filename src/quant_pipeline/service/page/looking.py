"""One look at the account: panes that are drawn from the same files share the ledger that was read for them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from quant_pipeline.cli.opened_account import Opened
from quant_pipeline.live.account import FOLDER, LiveAccount
from quant_pipeline.live.board import STATUS
from quant_pipeline.live.opening import JOURNAL
from quant_pipeline.live.status import status_of
from quant_pipeline.market.currencies import unit_of_amounts
from quant_pipeline.service.served import Served
from quant_pipeline.service.served_project import Stamp, stamps_of


@dataclass(frozen=True)
class Look:
    """What panes are drawn from.

    Attributes
    ----------
    served
        Project, jobs, results.
    account
        The account; its ledger is read once for all panes.
    """

    served: Served
    account: Opened

    @classmethod
    def now(cls, served: Served) -> Look:
        """Look at the account as it is now."""
        return cls(served, served.project.account)

    @property
    def live(self) -> LiveAccount:
        """The account as its live process sees it."""
        project = self.served.project
        return LiveAccount.of(project.place, self.account, project.params)

    @cached_property
    def status(self) -> dict[str, Any]:
        """What the live process says of itself."""
        return status_of(self.live)

    @cached_property
    def currency(self) -> str:
        """Currency of all amounts."""
        return unit_of_amounts(self.account.calendar)

    @property
    def closed(self) -> pd.Timestamp | None:
        """Newest session that is booked."""
        return self.account.state.last_session

    @property
    def close_in_words(self) -> str:
        """Of when amounts of the ledger are."""
        return "no close is booked yet" if self.closed is None else f"close of {self.closed:%Y-%m-%d}"

    @property
    def newest_event(self) -> str:
        """Of when the ledger is."""
        events = self.account.events
        if not events:
            return "an empty ledger"
        return f"event {len(events):,} of the ledger, session {events[-1].session:%Y-%m-%d}"


def stamp_of(look: Look) -> tuple[Stamp, ...]:
    """Return size and time of every file that panes of the account follow: when these are the same, so are they."""
    account = look.account
    home = account.stop_file.parent
    ledger = account.ledger.file
    files = [account.stop_file, home / FOLDER / STATUS, home / FOLDER / JOURNAL]
    if ledger is not None:
        files += [ledger, ledger.with_name(f"{ledger.name}-wal")]
    jobs = home / "service" / "jobs.sqlite"
    files += [jobs, jobs.with_name(f"{jobs.name}-wal")]
    return tuple(stamps_of(files))
