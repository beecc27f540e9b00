"""The ``account`` block: name, first cash, where fills come from, which tax lots a sale takes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat

from quant_pipeline.common.parameters import Parameters


class AccountParameters(Parameters):
    """The ``account`` block of the parameters.

    Attributes
    ----------
    name
        Name of the account; part of every order's identity.
    initial_cash
        Deposit when the simulated account is opened, in the currency; the backtest starts with it too.
    filled_by
        Where fills come from: ``simulation`` (the exchange rules of the backtest), ``statements`` (files; the account
        opens empty with their first row), or ``broker`` (its activities).
    lot_method
        Which lots a sale takes that names none: ``fifo``, oldest first, or ``hifo``, highest cost first.
    """

    name: str = Field(min_length=1, max_length=32)
    initial_cash: PositiveFloat = 1_000_000.0
    filled_by: Literal["simulation", "statements", "broker"] = "simulation"
    lot_method: Literal["fifo", "hifo"] = "fifo"
