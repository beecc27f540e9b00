"""Technical signals of the textbooks, as expressions: the instruments with the highest scores are bought.

Every signal is free of the unit of prices, so that instruments compare, and its parameters have the values of the
textbooks by default. The formulas are those of the cited authors; what they call a threshold (RSI below 30) is a rank
here: the strategy buys the best of the universe. Averages of Wilder's are exponential ones of weight ``1 / window``
over the whole history. A signal that buys after falls is a *reversal*, one that buys after rises *follows the trend*.
"""

from __future__ import annotations

from typing import ClassVar, Final, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from quant_pipeline.common.parameters import Parameters

CHANGE: Final = "($close-Ref($close, 1))"
TRUE_RANGE: Final = "Greater(Greater($high-$low, Abs($high-Ref($close, 1))), Abs($low-Ref($close, 1)))"  # Wilder (1978)
TYPICAL: Final = "(($high+$low+$close)/3)"


def wilder(values: str, window: int) -> str:
    """Return Wilder's average of an expression: exponential, of weight ``1 / window``."""
    return f"EMA({values}, {1 / window!r})" if window > 1 else values


class Signal(Parameters):
    """One signal with its parameters.

    Attributes
    ----------
    signal
        Its kind; by default the name of the entry.
    enabled
        Whether it is scored although nothing names it: in the opinions, and as a candidate of the search. A signal that
        a combination, the source of orders or the search names is scored anyway.
    """

    signal: str = ""
    enabled: bool = False

    meaning: ClassVar[str] = ""
    """What a high score says, in one line."""

    shorter: ClassVar[tuple[str, str] | None] = None
    """Two parameters of which the first has to be less than the second, or `meaning` is not what the formula says."""

    @model_validator(mode="after")
    def _says_what_it_means(self) -> Self:
        if self.shorter is not None:
            low, high = self.shorter
            if getattr(self, low) >= getattr(self, high):
                raise ValueError(
                    f"{low} ({getattr(self, low)}) has to be less than {high} ({getattr(self, high)}), or a high score "
                    f"does not say '{self.meaning}'"
                )
        return self

    @property
    def formula(self) -> str:
        """The expression in the language of factors."""
        raise NotImplementedError


class RelativeStrength(Signal):
    """Relative strength index, reversed: ``50 - RSI``; missing where the price has never moved (Wilder, 1978).

    Attributes
    ----------
    window
        Sessions of Wilder's averages of rises and falls.
    """

    window: PositiveInt = 14
    meaning: ClassVar[str] = "oversold: falls outweigh rises (reversal)"

    @property
    def formula(self) -> str:
        """The expression."""
        rises = wilder(f"Greater({CHANGE}, 0)", self.window)
        falls = wilder("Greater(Ref($close, 1)-$close, 0)", self.window)
        return f"50*({falls}-{rises})/({falls}+{rises})"


class Macd(Signal):
    """Histogram of moving average convergence and divergence over the close (Appel, 1979).

    Attributes
    ----------
    fast, slow
        Spans of the exponential averages of the close, in sessions; `fast` is less than `slow`.
    smoothing
        Span of the average of their difference, the signal line; over one session it is the difference itself.
    """

    fast: PositiveInt = 12
    slow: PositiveInt = 26
    smoothing: int = Field(9, ge=2)
    shorter: ClassVar[tuple[str, str] | None] = ("fast", "slow")
    meaning: ClassVar[str] = "the difference of both averages is above its signal line (follows the trend)"

    @property
    def formula(self) -> str:
        """The expression."""
        difference = f"(EMA($close, {self.fast})-EMA($close, {self.slow}))"
        return f"({difference}-EMA({difference}, {self.smoothing}))/$close"


class MovingAverageCross(Signal):
    """A fast moving average over a slow one, minus 1 (Brock, Lakonishok & LeBaron, 1992).

    Attributes
    ----------
    fast, slow
        Sessions of the averages; `fast` is less than `slow`.
    """

    fast: PositiveInt = 20
    slow: PositiveInt = 50
    shorter: ClassVar[tuple[str, str] | None] = ("fast", "slow")
    meaning: ClassVar[str] = "the fast average is above the slow one (follows the trend)"

    @property
    def formula(self) -> str:
        """The expression."""
        return f"Mean($close, {self.fast})/Mean($close, {self.slow})-1"


class Bollinger(Signal):
    """How far the close is below the middle of Bollinger's bands: 1 at the lower band (Bollinger, 2001).

    Attributes
    ----------
    window
        Sessions of mean and standard deviation (of the sample).
    width
        Standard deviations from the middle to a band.
    """

    window: int = Field(20, ge=2)
    width: PositiveFloat = 2.0
    meaning: ClassVar[str] = "the close is near or below the lower band (reversal)"

    @property
    def formula(self) -> str:
        """The expression."""
        return f"(Mean($close, {self.window})-$close)/({self.width!r}*Std($close, {self.window}))"


class Kdj(Signal):
    """Stochastic oscillator, reversed: ``50 - J`` with ``J = 3 K - 2 D`` (Lane, 1984).

    Attributes
    ----------
    window
        Sessions of the range in which the close is placed.
    smoothing
        Sessions of the averages K, of the place, and D, of K.
    """

    window: PositiveInt = 9
    smoothing: PositiveInt = 3
    meaning: ClassVar[str] = "the close is low in its range (reversal)"

    @property
    def formula(self) -> str:
        """The expression."""
        low, high = f"Min($low, {self.window})", f"Max($high, {self.window})"
        k = wilder(f"(100*($close-{low})/({high}-{low}))", self.smoothing)
        d = wilder(k, self.smoothing)
        return f"50-(3*{k}-2*{d})"


class AtrBreakout(Signal):
    """Average true ranges of the close above its moving average (Keltner's channel; Wilder, 1978, for the range).

    Attributes
    ----------
    average
        Sessions of the moving average; that of one session is the close itself.
    window
        Sessions of Wilder's average of the true range.
    """

    average: int = Field(20, ge=2)
    window: PositiveInt = 14
    meaning: ClassVar[str] = "the close has broken out upwards, in units of its usual range (follows the trend)"

    @property
    def formula(self) -> str:
        """The expression."""
        return f"($close-Mean($close, {self.average}))/{wilder(TRUE_RANGE, self.window)}"


class Donchian(Signal):
    """Place of the close in the channel of the sessions before: above 1 is a new high (Donchian, 1960).

    Attributes
    ----------
    window
        Sessions of the channel, without the newest one.
    """

    window: PositiveInt = 20
    meaning: ClassVar[str] = "the close is above the highest high of the sessions before (follows the trend)"

    @property
    def formula(self) -> str:
        """The expression."""
        low, high = f"Ref(Min($low, {self.window}), 1)", f"Ref(Max($high, {self.window}), 1)"
        return f"($close-{low})/({high}-{low})"


class Momentum(Signal):
    """Return of the last year without the last month (Jegadeesh & Titman, 1993).

    Attributes
    ----------
    window
        Sessions back to the beginning of the return.
    skip
        Sessions back to its end, less than `window`.
    """

    window: PositiveInt = 252
    skip: PositiveInt = 21
    shorter: ClassVar[tuple[str, str] | None] = ("skip", "window")
    meaning: ClassVar[str] = "has risen over the year (follows the trend)"

    @property
    def formula(self) -> str:
        """The expression."""
        return f"Ref($close, {self.skip})/Ref($close, {self.window})-1"


class Reversal(Signal):
    """Minus the return of the last sessions (Lehmann, 1990).

    Attributes
    ----------
    window
        Sessions of the return.
    """

    window: PositiveInt = 5
    meaning: ClassVar[str] = "has fallen over the week (reversal)"

    @property
    def formula(self) -> str:
        """The expression."""
        return f"1-$close/Ref($close, {self.window})"


class OnBalanceVolume(Signal):
    """Volume of rises minus volume of falls over all volume, the change of on-balance volume (Granville, 1963).

    Attributes
    ----------
    window
        Sessions of the change.
    """

    window: PositiveInt = 20
    meaning: ClassVar[str] = "more is traded on rises than on falls (follows the trend)"

    @property
    def formula(self) -> str:
        """The expression."""
        return f"Sum(Sign({CHANGE})*$volume, {self.window})/Sum($volume, {self.window})"


class MoneyFlow(Signal):
    """Money flow index, reversed: ``50 - MFI``, an index of strength in which sessions weigh by traded value.

    Attributes
    ----------
    window
        Sessions of the sums.
    """

    window: PositiveInt = 14
    meaning: ClassVar[str] = "traded value of falls outweighs that of rises (reversal)"

    @property
    def formula(self) -> str:
        """The expression."""
        flow, before = f"{TYPICAL}*$volume", f"Ref({TYPICAL}, 1)"
        rises = f"Sum(If(Gt({TYPICAL}, {before}), {flow}, 0), {self.window})"
        falls = f"Sum(If(Lt({TYPICAL}, {before}), {flow}, 0), {self.window})"
        return f"50*({falls}-{rises})/({falls}+{rises})"


class ChannelIndex(Signal):
    """Commodity channel index of the typical price (Lambert, 1980).

    Attributes
    ----------
    window
        Sessions of mean and mean absolute deviation.
    """

    window: int = Field(20, ge=2)
    meaning: ClassVar[str] = "the typical price is far above its mean (follows the trend)"

    @property
    def formula(self) -> str:
        """The expression."""
        return f"({TYPICAL}-Mean({TYPICAL}, {self.window}))/(0.015*Mad({TYPICAL}, {self.window}))"


class YearlyHigh(Signal):
    """Close over the highest high of the year (George & Hwang, 2004).

    Attributes
    ----------
    window
        Sessions of the high.
    """

    window: PositiveInt = 252
    meaning: ClassVar[str] = "near its highest price of the year (follows the trend)"

    @property
    def formula(self) -> str:
        """The expression."""
        return f"$close/Max($high, {self.window})"


class LowVolatility(Signal):
    """Minus the standard deviation of daily returns (Ang, Hodrick, Xing & Zhang, 2006).

    Attributes
    ----------
    window
        Sessions of the deviation.
    """

    window: int = Field(60, ge=2)
    meaning: ClassVar[str] = "the price is calm"

    @property
    def formula(self) -> str:
        """The expression."""
        return f"0-Std($close/Ref($close, 1)-1, {self.window})"
