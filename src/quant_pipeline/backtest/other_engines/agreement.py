"""How far the fills of another engine are those of this project's, and why where they are not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.backtest.other_engines.folder import OURS
from quant_pipeline.backtest.other_engines.verdicts import Executed
from quant_pipeline.exchange.money import TICKS_PER_UNIT

EQUAL: Final = "equal"
NOTHING: Final = "equal: nothing executed"
UNEXPLAINED: Final = "unexplained"
_HALF_A_TICK: Final = 0.5 / TICKS_PER_UNIT


@dataclass(frozen=True)
class Agreement:
    """Fills of another engine beside ours.

    Attributes
    ----------
    executed
        What was compared.
    orders
        The plan with ``ours``, ``theirs`` (shares), ``our_price``, ``their_price``, and ``cause``: :data:`EQUAL`,
        :data:`NOTHING`, :data:`UNEXPLAINED`, or why they differ.
    nav_sessions
        Sessions before the first fill that differs: from it on, the accounts hold different things.
    nav_difference
        Largest difference of the net asset values of these sessions, as a part of ours; NaN where there are none.
    fee_difference
        Largest difference of the fees of an order whose fills are equal; NaN where its prices are before costs.
    """

    executed: Executed
    orders: pd.DataFrame
    nav_sessions: int
    nav_difference: float
    fee_difference: float

    @property
    def fills(self) -> int:
        """Orders that executed in full with us: market-on-open fills, which no rule of ours has cut."""
        return int(self._in_full.sum())

    @property
    def equal_fills(self) -> int:
        """How many of them are equal in price and quantity."""
        return int((self._in_full & (self.orders["cause"] == EQUAL)).sum())

    @property
    def unexplained(self) -> int:
        """Orders that differ for no known reason."""
        return int((self.orders["cause"] == UNEXPLAINED).sum())

    @property
    def failures(self) -> tuple[str, ...]:
        """Why the engine does not confirm ours, in words; empty where it does.

        All market-on-open fills have to be equal, and there has to be one: a reason explains why an engine executed
        nothing, and confirms nothing. Of the other orders each difference needs a cause.
        """
        found = {
            "no order executed in full here: nothing is compared": self.fills == 0,
            f"{self.fills - self.equal_fills:,} of {self.fills:,} market-on-open fills are not equal": (
                self.equal_fills < self.fills
            ),
            f"{self.unexplained:,} orders differ for no known reason": self.unexplained > 0,
        }
        return tuple(words for words, applies in found.items() if applies)

    @property
    def differs_nowhere(self) -> bool:
        """Whether every order is equal."""
        return bool(self.orders["cause"].isin([EQUAL, NOTHING]).all())

    @property
    def causes(self) -> pd.Series:
        """Number of orders by cause, most first."""
        return self.orders["cause"].value_counts()

    @property
    def _in_full(self) -> pd.Series:
        return (self.orders["ours"] == self.orders["quantity"]) & (self.orders["ours"] > 0)


def compare_fills(folder: Path, executed: Executed) -> Agreement:
    """Compare the fills of an engine with ours, order by order.

    Prices are equal when they round to the same tick. Where the engine knows no spread, its price is compared with
    the price of the market. A difference is explained where one of our rules has cut or refused the order and the
    other engine, which has no such rule, executed all of it; or where the engine says why it executed nothing.

    Parameters
    ----------
    folder
        The exchange folder.
    executed
        What the engine wrote into it.
    """
    plan, ours = (pd.read_parquet(folder / name) for name in ("plan.parquet", f"{OURS}/fills.parquet"))
    theirs, has_costs = executed.fills, executed.verdict.prices == "with_costs"
    our_price = ours["price" if has_costs else "market_price"].where(ours["quantity"] > 0)
    orders = plan.assign(
        ours=ours["quantity"],
        theirs=theirs["quantity"],
        our_price=our_price,
        their_price=theirs["price"].where(theirs["quantity"] > 0),
    )
    orders["cause"] = _causes(orders, ours, theirs)
    equal = (orders["cause"] == EQUAL).to_numpy()
    fees = np.abs(ours["fee"].to_numpy() - theirs["fee"].to_numpy())[equal]
    values = _values_alike(folder, executed.nav, orders)
    return Agreement(
        executed=executed,
        orders=orders,
        nav_sessions=len(values),
        nav_difference=float(values.max()),
        fee_difference=float(fees.max()) if has_costs and len(fees) else float("nan"),
    )


def _causes(orders: pd.DataFrame, ours: pd.DataFrame, theirs: pd.DataFrame) -> npt.NDArray[np.object_]:
    same_shares = (orders["ours"] == orders["theirs"]).to_numpy()
    same_price = np.abs(orders["our_price"].to_numpy() - orders["their_price"].to_numpy()) < _HALF_A_TICK
    nothing = same_shares & (orders["ours"] == 0).to_numpy()
    # Where our rule left nothing there is no price of ours to compare with.
    priced_alike = same_price | (orders["ours"] == 0).to_numpy()
    by_our_rule = (
        (ours["message"] != "").to_numpy() & (orders["theirs"] == orders["quantity"]).to_numpy() & priced_alike
    )
    by_theirs = (orders["theirs"] == 0).to_numpy() & (theirs["message"] != "").to_numpy()
    return np.select(
        [nothing, same_shares & same_price, by_our_rule, by_theirs],
        [NOTHING, EQUAL, "only here: " + ours["message"].to_numpy(), "only there: " + theirs["message"].to_numpy()],
        default=UNEXPLAINED,
    )


def _values_alike(folder: Path, theirs: pd.DataFrame | None, orders: pd.DataFrame) -> pd.Series:
    """Return the difference of the values of each session before the first fill that differs, as a part of ours."""
    if theirs is None:
        return pd.Series(dtype="float64")
    differs = orders.loc[~orders["cause"].isin([EQUAL, NOTHING]), "date"]
    ours = pd.read_parquet(folder / OURS / "nav.parquet").set_index("date")["nav"]
    difference = (theirs.set_index("date")["nav"] / ours - 1).abs()
    return difference if differs.empty else difference[difference.index < differs.min()]
