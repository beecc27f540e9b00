"""What stands above every page: the state of the account as one large word, and why."""

from __future__ import annotations

from quant_pipeline.reports.elements import Html
from quant_pipeline.service.page.drawing import SIGNS, draw
from quant_pipeline.service.page.looking import Look
from quant_pipeline.trading.orders.remarks import state_remark


def strip(look: Look) -> Html:
    """Draw the state; the file that stops every sender counts as much as what the ledger says."""
    account = look.account
    state = str(account.book.trading_state)
    why = state_remark(account.events, account.account.filled_by) or ""
    if account.stop_file.exists() and state != "halted":
        why = "the file STOP is there: nothing is sent while it exists"
    return _drawn(look, why)


def word(look: Look) -> Html:
    """Draw the state alone, for holders of ``halt`` who may not read."""
    return _drawn(look, "")


def _drawn(look: Look, why: str) -> Html:
    account = look.account
    state = "halted" if account.stop_file.exists() else str(account.book.trading_state)
    sign, tone = SIGNS[state]
    return draw("strip.html", word=state, sign=sign, tone=tone, why=why)
