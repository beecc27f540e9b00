"""Corporate actions on holdings with fractions of a share, which the exchange of the backtest does not have."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd

from quant_pipeline.exchange.costs import payment_after_tax
from quant_pipeline.exchange.money import PAYMENT_SCALE, value_in_cents
from quant_pipeline.exchange.quotes import ACTION_KINDS, action_terms
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.lots import ZERO
from quant_pipeline.trading.ledger.session_effects import Closes


def profit_of_fractions(
    books: AccountState, actions: pd.DataFrame, closes: Closes, dividend_tax_rate: float
) -> dict[str, Decimal]:
    """Measure what corporate actions do to holdings that are no whole number of shares.

    An account that holds fractions is at a broker that keeps them: a split leaves its fraction, where the exchange of
    the backtest pays cash for it.

    Parameters
    ----------
    books
        The account before anything executes.
    actions
        Corporate actions of the session: ``instrument``, ``kind``, ``value``.
    closes
        Closes of the session.
    dividend_tax_rate
        Part of a dividend that is withheld.

    Returns
    -------
    dict of Decimal
        Profit by instrument, at the closes of the session; none of what no action is about.
    """
    profits = {}
    for instrument, rows in actions.groupby("instrument", sort=False):
        held = books.positions.get(str(instrument))
        if held is None or held.quantity == int(held.quantity):
            continue
        quantity, cash = held.quantity, ZERO
        for kind, value in sorted(zip(rows["kind"], rows["value"], strict=True), key=lambda row: ACTION_KINDS[row[0]]):
            numerator, denominator = action_terms(str(instrument), kind, value)
            if kind == "split":
                quantity = quantity * numerator / denominator
                continue
            paid = payment_after_tax(numerator, dividend_tax_rate) if kind == "cash_dividend" else numerator
            cash += value_in_cents(quantity, Decimal(paid) / PAYMENT_SCALE)
            quantity = quantity if kind == "cash_dividend" else ZERO
        profits[str(instrument)] = (quantity - held.quantity) * closes[str(instrument)] + cash
    return profits
