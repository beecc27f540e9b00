"""What an account starts with; the backtest starts with the same."""

from __future__ import annotations

from pydantic import Field, PositiveFloat

from quant_pipeline.parameters import Parameters


class AccountParameters(Parameters):
    """The ``account`` block of the parameters.

    Attributes
    ----------
    name
        Name of the account; part of every order's identity.
    initial_cash
        Deposit when the account is opened, in the currency.
    """

    name: str = Field(min_length=1, max_length=16)
    initial_cash: PositiveFloat = 1_000_000.0
