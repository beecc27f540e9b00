"""TopK-Drop as docs/concepts/strategy.md describes it, in plain Python: what the scores of a folder decide."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import pandas as pd
from exchange_files import Exchange, cents, fee

PLAIN = {
    "method": "topk_drop",
    "max_position_weight": None,
    "min_position_weight": None,
    "max_sector_weight": None,
    "max_turnover": None,
    "one_listing_per_company": False,
    "blacklist": [],
    "watchlist": [],
}
"""Values of the strategy block that this decides like."""


class Order(NamedTuple):
    """An order that was decided here: it has no number in the plan."""

    number: None
    instrument: str
    is_buy: bool
    shares: int


def decides_like_this(rules: Mapping[str, Any]) -> bool:
    """Whether the rules of a folder are those that this knows: daily TopK-Drop in single shares, no further rules."""
    strategy, market = rules["strategy"], rules["market_rules"]
    plain = all(strategy.get(key, value) == value for key, value in PLAIN.items())
    daily = strategy.get("schedule", {}).get("frequency", "daily") == "daily"
    return plain and daily and market.get("lot", 1) == 1 and not market.get("lots")


class TopScores:
    """Decides from the scores of the session before and what is held."""

    def __init__(self, exchange: Exchange) -> None:
        self._rules = exchange.rules["strategy"]
        self._costs = exchange.rules["cost_rules"]
        by_day = exchange.scores.groupby("date")
        self._scores = {day: rows.set_index("instrument")["score"] for day, rows in by_day}
        self._traded = {day: set(rows["instrument"]) for day, rows in exchange.tape.groupby("date")}

    def decide(self, _day: pd.Timestamp, before: pd.Timestamp, desk: Any) -> list[Order]:
        """Return the orders for a session, sales first; `desk` holds what was known after the close before."""
        scores = self.scores_of(before)
        if not scores:
            return []
        held, traded, prices = desk.held(), self._traded.get(before, set()), desk.marks.last

        def may_leave(name: str) -> bool:
            return name in traded and desk.since.get(name, 0) >= self._rules["hold_threshold"]

        orphans = [name for name in sorted(held) if name not in scores]
        sold = [name for name in orphans if may_leave(name)] if self._rules["sell_orphans"] else []
        free = self._rules["topk"] - len(held) + len(sold)
        ranked = sorted((name for name in scores if name not in held and name in traded), key=_rank(scores))
        best = ranked[: max(free + self._rules["n_drop"], 0)]
        sold += self._dropped(held, scores, best, max(len(best) - free, 0), may_leave)
        n_buys = max(min(self._rules["topk"] - len(held) + len(sold), len(best)), 0)
        bought = self._sized(before, desk, held, sold, best[:n_buys], prices)
        return [Order(None, name, False, held[name]) for name in sold] + bought

    def scores_of(self, session: pd.Timestamp) -> dict[str, float]:
        """Return the scores that were known after the close of a session."""
        known = self._scores.get(session, {})
        return {name: score for name, score in known.items() if math.isfinite(score)}

    def _dropped(
        self, held: Mapping[str, int], scores: Mapping[str, float], best: list[str], most: int, may_leave: Any
    ) -> list[str]:
        """Return the holdings among the weakest of holdings and candidates together, worst first."""
        rank = _rank(scores)
        weakest = sorted((name for name in held if name in scores), key=rank, reverse=True)
        candidates, dropped = list(best), []
        for _ in range(self._rules["n_drop"]):
            if not weakest or len(dropped) == most:
                break
            if candidates and rank(candidates[-1]) > rank(weakest[0]):
                candidates.pop()
                continue
            name = weakest.pop(0)
            if may_leave(name):
                dropped.append(name)
        return dropped

    def _sized(
        self,
        before: pd.Timestamp,
        desk: Any,
        held: Mapping[str, int],
        sold: list[str],
        bought: list[str],
        prices: Mapping[str, float],
    ) -> list[Order]:
        """Give every buy the same money: a share of the cash there will be, and of the whole account at most."""
        if not bought:
            return []
        cash = cents(Decimal(str(desk.get_cash())))
        worth = sum((shares * Decimal(str(prices[name])) for name, shares in held.items()), cash)
        for name in sold:
            value = cents(held[name] * Decimal(str(prices[name])))
            cash += value - fee(self._costs, before, False, held[name], prices[name])
        degree = Decimal(str(self._rules["risk_degree"]))
        budget = min(cash * degree / len(bought), worth * degree / self._rules["topk"])
        sized = ((name, self._affordable(before, prices[name], budget)) for name in bought)
        return [Order(None, name, True, shares) for name, shares in sized if shares > 0]

    def _affordable(self, day: pd.Timestamp, price: float, budget: Decimal) -> int:
        shares = int(budget / Decimal(str(price)))
        while shares > 0 and self._cost(day, price, shares) > budget:
            shares -= 1
        return shares

    def _cost(self, day: pd.Timestamp, price: float, shares: int) -> Decimal:
        return cents(shares * Decimal(str(price))) + fee(self._costs, day, True, shares, price)


def _rank(scores: Mapping[str, float]) -> Any:
    """Return a key that orders the best first; equal scores rank by code."""
    return lambda name: (-scores[name], name)
