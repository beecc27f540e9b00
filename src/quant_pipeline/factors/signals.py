"""Signals by name: the technical ones, and those that a user writes; an entry of the parameters becomes one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from quant_pipeline.common.parameters import read_part
from quant_pipeline.factors.technical_signals import (
    AtrBreakout,
    Bollinger,
    ChannelIndex,
    Donchian,
    Kdj,
    LowVolatility,
    Macd,
    Momentum,
    MoneyFlow,
    MovingAverageCross,
    OnBalanceVolume,
    RelativeStrength,
    Reversal,
    Signal,
    YearlyHigh,
)


class OwnSignal(Signal):
    """A signal of the user's own.

    Attributes
    ----------
    expression
        Its formula; high scores are bought.
    """

    expression: str
    meaning: ClassVar[str] = "an expression of your own"

    @property
    def formula(self) -> str:
        """The expression."""
        return self.expression


KINDS: Final[dict[str, type[Signal]]] = {
    "rsi": RelativeStrength,
    "macd": Macd,
    "moving_average_cross": MovingAverageCross,
    "bollinger": Bollinger,
    "kdj": Kdj,
    "atr_breakout": AtrBreakout,
    "donchian": Donchian,
    "momentum": Momentum,
    "reversal": Reversal,
    "on_balance_volume": OnBalanceVolume,
    "money_flow": MoneyFlow,
    "channel_index": ChannelIndex,
    "yearly_high": YearlyHigh,
    "low_volatility": LowVolatility,
    "expression": OwnSignal,
}
"""Kind of a signal to its parameters."""


def read_signal(name: str, block: object) -> Signal:
    """Read one entry of the ``signals`` block.

    Parameters
    ----------
    name
        Of the entry; also the kind, unless the block names another one.
    block
        ``signal``, ``enabled`` and the parameters of the kind; None for those of the kind by default.

    Raises
    ------
    ValueError
        When there is no such kind.
    ValidationError
        When a parameter does not fit.
    """
    given = {} if block is None else block
    if not isinstance(given, Mapping):
        return Signal.model_validate(given)  # Refuses it: a block is `key: value` lines.
    kind = str(given.get("signal") or name)
    if kind not in KINDS:
        raise ValueError(f"there is no signal '{kind}'; there are {', '.join(KINDS)}")
    return read_part(KINDS[kind], {**given, "signal": kind})
