"""The exchange folder as adapters read and write it; docs/concepts/other-engines.md describes the files.

Adapters run in environments of their own, so this knows pandas and nothing of the project.
"""

from __future__ import annotations

import json
import math
import platform
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

VERSION = 1
TICKS = 10_000
LARGEST_SPLIT_TERM = 10_000
CENT = Decimal("0.01")
FIRST = {"split": 0, "cash_dividend": 1, "delisting": 2}
"""Order in which the corporate actions of a session apply."""


class Exchange(NamedTuple):
    """What a finished backtest hands over.

    ``sessions`` are the days of the backtest, ``plan`` its orders, ``tape`` the bars as traded, ``actions`` the
    corporate actions, ``scores`` what was known after each close, ``rules`` the blocks of the parameters.
    """

    folder: Path
    facts: dict[str, Any]
    sessions: pd.DatetimeIndex
    plan: pd.DataFrame
    tape: pd.DataFrame
    actions: pd.DataFrame
    scores: pd.DataFrame
    rules: dict[str, Any]

    @property
    def cash(self) -> float:
        """Cash before the first session."""
        return float(self.rules["account"]["initial_cash"])


class Engine(NamedTuple):
    """Who executed: folder, name, version and licence."""

    folder: str
    name: str
    version: str
    licence: str


class Outcome(NamedTuple):
    """What an engine made of the plan: the rows of the fills, the values of the account, what it says of itself."""

    fills: list[tuple[int, int, float, float, str]]
    values: list[tuple[pd.Timestamp, float, float]]
    says: dict[str, Any]


def read(folder: Path) -> Exchange:
    """Read an exchange folder, or end with one line when it is of another version."""
    facts = json.loads((folder / "exchange.json").read_text(encoding="utf-8"))
    if facts["version"] != VERSION:
        raise SystemExit(f"{folder} has version {facts['version']} of the format, this adapter reads {VERSION}.")
    tables = {
        name: pd.read_parquet(folder / f"{name}.parquet") for name in ("plan", "tape", "corporate_actions", "scores")
    }
    for table in tables.values():
        table["date"] = table["date"].astype("datetime64[ns]")
    actions = tables["corporate_actions"]
    actions = actions.assign(rank=actions["kind"].map(FIRST)).sort_values(["date", "rank", "instrument"])
    sessions = pd.read_parquet(folder / "ours" / "nav.parquet", columns=["date"])["date"].astype("datetime64[ns]")
    rules = json.loads((folder / "rules.json").read_text(encoding="utf-8"))
    return Exchange(
        folder, facts, pd.DatetimeIndex(sessions), tables["plan"], tables["tape"], actions, tables["scores"], rules
    )


def place_of(exchange: Exchange, engine: Engine) -> Path:
    """Return the folder that an engine writes into; it is made."""
    place = exchange.folder / "engines" / engine.folder
    place.mkdir(parents=True, exist_ok=True)
    return place


def write(exchange: Exchange, engine: Engine, outcome: Outcome) -> None:
    """Write fills, values and the verdict of an engine; the verdict comes last and says that the others are there."""
    place = place_of(exchange, engine)
    (place / "verdict.json").unlink(missing_ok=True)
    fills = pd.DataFrame(outcome.fills, columns=["order", "quantity", "price", "fee", "message"])
    fills.to_parquet(place / "fills.parquet", index=False)
    values = pd.DataFrame(outcome.values, columns=["date", "nav", "cash"])
    values.to_parquet(place / "nav.parquet", index=False)
    verdict = {
        "version": VERSION,
        "fingerprint": exchange.facts["fingerprint"],
        "engine": engine.name,
        "engine_version": engine.version,
        "licence": engine.licence,
        "python": platform.python_version(),
        **outcome.says,
    }
    (place / "verdict.json").write_text(json.dumps(verdict, indent=2) + "\n", encoding="utf-8")


def cents(amount: Decimal) -> Decimal:
    """Round an amount half up to cents."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


def split_of(value: float) -> Fraction:
    """Read new shares per old share as whole terms: 0.333333 is one for three."""
    return Fraction(value).limit_denominator(LARGEST_SPLIT_TERM)


def moved(price: float, fraction: float, is_buy: bool) -> float:
    """Move a price against the trader by half a spread, to whole ticks of a hundredth of a cent."""
    ticks = math.floor(price * TICKS + 0.5)
    move = math.floor(ticks * fraction + 0.5)
    return (ticks + move if is_buy else max(ticks - move, 1)) / TICKS


def fee(costs: dict[str, Any], day: pd.Timestamp, is_buy: bool, shares: int, price: float) -> Decimal:
    """Compute the fee of an order by the cost rules, half up to cents."""
    side = "buy" if is_buy else "sell"
    value = shares * Decimal(str(price))
    rate, per_share = (Decimal(str(costs[key])) for key in (f"{side}_rate", "per_share"))
    commission = max(value * rate + shares * per_share, Decimal(str(costs["min_commission"])))
    tax_rate = Decimal(str(_tax_rate(costs, day, side)))
    by_share = Decimal(0) if is_buy else shares * Decimal(str(costs["sell_tax_per_share"]))
    return cents(commission + value * tax_rate + by_share)


def _tax_rate(costs: dict[str, Any], day: pd.Timestamp, side: str) -> float:
    known = [change for change in costs["tax_changes"] if pd.Timestamp(change["since"]) <= day]
    if known:
        return float(max(known, key=lambda change: change["since"])[side])
    return float(costs[f"{side}_tax_rate"])


class Marks:
    """Last known close of every instrument as the sessions pass, gone ex with its corporate actions."""

    def __init__(self, exchange: Exchange) -> None:
        self._closes = {
            day: rows.set_index("instrument")["close"].to_dict() for day, rows in exchange.tape.groupby("date")
        }
        self.last: dict[str, float] = {}

    def go_ex(self, instrument: str, kind: str, value: float) -> None:
        """Take a corporate action out of the last close."""
        known = self.last.get(instrument)
        if known is not None and kind == "split":
            self.last[instrument] = math.floor(known * TICKS / split_of(value) + 0.5) / TICKS
        elif known is not None and kind == "cash_dividend":
            self.last[instrument] = max(known - math.floor(value * TICKS + 0.5) / TICKS, 1 / TICKS)

    def close(self, day: pd.Timestamp) -> None:
        """Take the closes of a session."""
        self.last.update(self._closes.get(day, {}))
