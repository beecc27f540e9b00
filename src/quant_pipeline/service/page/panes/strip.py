"""What stands above every page: the state of the account as one large word, and why."""

from __future__ import annotations

from quant_pipeline.reports.elements import Html
from quant_pipeline.service.page.drawing import SIGNS, draw
from quant_pipeline.service.page.looking import Look
from quant_pipeline.trading.orders.remarks import state_remark


def strip(look: Look) -> Html:
    """Draw the state; the file that stops every sender counts as much as what the ledger says."""
    account = look.account
    word = str(account.book.trading_state)
    why = state_remark(account.events, account.account.filled_by) or ""
    if account.stop_file.exists() and word != "halted":
        word, why = "halted", "the file STOP is there: nothing is sent while it exists"
    sign, tone = SIGNS[word]
    return draw("strip.html", word=word, sign=sign, tone=tone, why=why)
