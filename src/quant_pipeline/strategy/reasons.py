"""Why an instrument is bought, sold or held: the codes of the kernels and their words."""

from __future__ import annotations

KEEP = 0
"""Held: not among the weakest."""
KEEP_YOUNG = 1
"""Held: should go, but the hold threshold is not reached."""
KEEP_UNTRADABLE = 2
"""Held: should go, but cannot trade at the decision."""
KEEP_UNSCORED = 3
"""Held: has no score, and orphans are kept."""
SELL_DROPPED = 4
"""Sold: among the weakest of holdings and candidates."""
SELL_ORPHAN = 5
"""Sold: has no score any more."""
BUY_RANKED = 6
"""Bought: among the best candidates."""
SKIP_BELOW_LOT = 7
"""Not bought: the budget, or the target weight, does not pay for one lot."""

SELL_TRIMMED = 8
"""Sold down: more than its target weight, which may be nothing."""
BUY_RAISED = 9
"""Bought more of: less than its target weight."""

SELL_BLACKLISTED = 10
"""Sold: it is on the blacklist."""
KEEP_TURNOVER = 11
"""Held: should go, but the turnover of the decision is used up."""
SKIP_SECTOR = 12
"""Not bought: its sector has no room."""
SKIP_COMPANY = 13
"""Not bought: another listing of its company is held or bought."""
SKIP_TURNOVER = 14
"""Not bought: the turnover of the decision is used up."""
SKIP_SMALL = 15
"""Not bought: the position would be smaller than the smallest that is wanted."""

NOT_SENT = "not sent"
"""Word for an order that has not left."""
NOT_EXECUTED = "not executed"
"""Word for an order that has ended without a fill."""


def not_carried_out(decided: str, what: str, why: str) -> str:
    """Write the reason of an order that was decided and not carried out.

    Parameters
    ----------
    decided
        Reason of the decision, which says what should have happened: ``bought: rank 1 of 2``; may be empty.
    what
        What is the matter: `NOT_SENT`, `NOT_EXECUTED`.
    why
        Why, in words; empty where nothing is known.

    Examples
    --------
    >>> not_carried_out("bought: rank 1 of 2", NOT_SENT, "the account is halted")
    'not sent: the account is halted; it was to be bought: rank 1 of 2'
    >>> not_carried_out("", NOT_EXECUTED, "")
    'not executed'
    """
    return f"{what}{f': {why}' if why else ''}{f'; it was to be {decided}' if decided else ''}"


NAMES = {
    KEEP: "kept",
    KEEP_YOUNG: "kept: hold threshold",
    KEEP_UNTRADABLE: "kept: not tradable",
    KEEP_UNSCORED: "kept: no score",
    SELL_DROPPED: "dropped",
    SELL_ORPHAN: "orphan",
    BUY_RANKED: "ranked",
    SKIP_BELOW_LOT: "below one lot",
    SELL_TRIMMED: "above target",
    BUY_RAISED: "below target",
    SELL_BLACKLISTED: "blacklist",
    KEEP_TURNOVER: "kept: turnover used up",
    SKIP_SECTOR: "sector full",
    SKIP_COMPANY: "company held",
    SKIP_TURNOVER: "turnover used up",
    SKIP_SMALL: "position too small",
}
