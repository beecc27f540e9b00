"""Whose ledger it is: it names its account itself, so that the copy of another account's folder is noticed."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.ledger.events import Event, EventKind

_NAMING = (EventKind.ACCOUNT_OPENED, EventKind.ACCOUNT_RENAMED)


def account_of(events: Sequence[Event]) -> str | None:
    """Return the name of the account that events belong to; None when they do not say."""
    named = next((event for event in reversed(events) if event.kind in _NAMING), None)
    return None if named is None else named.payload.get("account")


def require_account(named: str | None, account: str, where: str) -> None:
    """Refuse the ledger of another account.

    Parameters
    ----------
    named
        Name of the account that the ledger is of; None or empty when it does not say, as before its first event.
    account
        Name of the account that is asked for.
    where
        The ledger, for the message.

    Raises
    ------
    AccountError
        When the ledger names another account.
    """
    if named and named != account:
        raise AccountError(
            f"the ledger {where} is of the account '{named}', not of '{account}'; put the right one there, or let it "
            f"go on as '{account}' with `kedro account rename {named} --reason WHY`"
        )


def renaming_event(events: Sequence[Event], session: pd.Timestamp, account: str, reason: str, name: str) -> Event:
    """Make the event by which a ledger goes on under another name; ``name`` is who decides it."""
    number = sum(event.kind is EventKind.ACCOUNT_RENAMED for event in events) + 1
    facts = {"account": account, "from": account_of(events), "reason": reason, "name": name}
    return Event(session, EventKind.ACCOUNT_RENAMED, f"renamed:{number}:{account}", facts)
