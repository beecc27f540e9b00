"""Whose score becomes orders."""

from pydantic import Field, NonNegativeInt

from quant_pipeline.common.parameters import Parameters
from quant_pipeline.trading.orders.position_sizing import PositionSizing
from quant_pipeline.trading.orders.stop_rules import StopRules

FUSED = "fused"
FILE = "file"


class OrderGenerationParameters(Parameters):
    """The ``order_generation`` block of the parameters.

    Attributes
    ----------
    source
        ``fused`` is the default combination; else the name of a combination or model, or ``file`` for scores made
        elsewhere.
    min_coverage
        Share of the members of the universe that need a score: a holding without one is sold, so scores of a few names
        would sell nearly everything.
    alternates
        Number of alternates for buys that cannot be executed.
    opinions_of_all
        Whether page and CSV of the opinions list every instrument with a score, not only those that a source would
        buy, sell or hold.
    position_sizing
        How much of the account may be invested.
    stop_rules
        When a holding is sold whatever its score; none by default.
    """

    source: str = FUSED
    min_coverage: float = Field(0.8, ge=0.0, le=1.0)
    alternates: NonNegativeInt = 5
    opinions_of_all: bool = False
    position_sizing: PositionSizing = PositionSizing()
    stop_rules: StopRules = StopRules()

    @property
    def not_backtested(self) -> str:
        """Sentence that names the rules of the account which no backtest and no search follows; empty without any."""
        levels = self.stop_rules.model_dump(exclude_none=True, exclude={"cooldown"})
        stops = ", ".join(f"{name} {value:g}" for name, value in levels.items())
        sizing = "" if self.position_sizing.method == "fixed" else self.position_sizing.method
        used = [f"{block} ({words})" for block, words in (("position_sizing", sizing), ("stop_rules", stops)) if words]
        if not used:
            return ""
        return f"Orders follow {' and '.join(used)}, which the backtests do not: their results are those without."
