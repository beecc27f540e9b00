"""Market data of the fake: daily bars and corporate actions, as the data API returns them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any

import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.price_adjustment import CASH_DIVIDEND, SPLIT
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market

NEW_YORK = "America/New_York"
TOKEN_MARK = "page-"  # noqa: S105 - begins a page token, no password


class MarketTape:
    """Bars as traded and what happened to the instruments.

    Parameters
    ----------
    bars
        ``date, instrument, open, high, low, close, volume``; one session of one instrument a row.
    corporate_actions
        ``date, instrument, kind, value`` with the kinds ``split`` and ``cash_dividend``.
    announcements
        Records of other sorts as Alpaca writes them, by sort; they are returned with the first page.
    """

    def __init__(
        self,
        bars: pd.DataFrame,
        corporate_actions: pd.DataFrame,
        announcements: Mapping[str, list[dict[str, Any]]] | None = None,
    ) -> None:
        self._announcements = announcements or {}
        self.bars = bars.sort_values(["instrument", "date"], ignore_index=True)
        self.corporate_actions = corporate_actions.sort_values(["date", "instrument"], ignore_index=True)

    @classmethod
    def empty(cls) -> MarketTape:
        """Return a market without instruments."""
        kinds = {"date": "datetime64[ns]", "instrument": "str", "kind": "str", "value": "float64"}
        prices = dict.fromkeys(("open", "high", "low", "close", "volume"), "float64")
        return cls(_table({"date": "datetime64[ns]", "instrument": "str"} | prices), _table(kinds))

    @classmethod
    def simulated(cls, symbols: list[str], start: str, end: str, seed: int = 0) -> MarketTape:
        """Invent a history for symbols: the embedded market under other names.

        Raises
        ------
        MarketDataError
            When the embedded market listed fewer instruments through the whole history than there are symbols.
        """
        parameters = SimulatedMarketParameters(seed=seed, n_instruments=2 * len(symbols) + 10, start=start, end=end)
        market = generate_market(parameters).as_of(pd.Timestamp(end))
        rows = market.bars.groupby("instrument")["date"].agg(["min", "max"])
        whole = rows.index[(rows["min"] == rows["min"].min()) & (rows["max"] == rows["max"].max())]
        if len(whole) < len(symbols):
            raise MarketDataError(f"only {len(whole)} invented instruments last from {start} to {end}; ask for less")
        names = dict(zip(whole, symbols, strict=False))
        tables = [
            table[table["instrument"].isin(list(names))].assign(instrument=lambda rows: rows["instrument"].map(names))
            for table in (market.bars, market.corporate_actions)
        ]
        return cls(*tables)

    def prices_at(self, session: pd.Timestamp, has_closed: bool) -> dict[str, Decimal]:
        """Return what every instrument costs: the open of a session, or its close once it has closed.

        An instrument without a bar in the session costs its last close before.
        """
        opens, closes = self._opens_and_closes
        newest = closes.index.searchsorted(session, side="right") - 1
        if newest < 0:
            return {}
        known = closes.iloc[newest]
        if not has_closed and closes.index[newest] == session:
            # Who has no bar in the session is known by the close before.
            before = closes.iloc[newest - 1] if newest else known * float("nan")
            known = opens.iloc[newest].fillna(before)
        return {str(name): Decimal(str(round(price, 4))) for name, price in known.dropna().items()}

    @cached_property
    def _opens_and_closes(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Opens by session and instrument, and the last known closes."""
        opens, closes = (self.bars.pivot(index="date", columns="instrument", values=name) for name in ("open", "close"))
        return opens, closes.ffill()

    def actions_of(self, session: pd.Timestamp) -> list[tuple[str, str, Decimal]]:
        """List instrument, kind and value of the splits and dividends that take effect at the open of a session."""
        rows = self.corporate_actions
        rows = rows[(rows["date"] == session) & rows["kind"].isin([SPLIT, CASH_DIVIDEND])]
        return [(str(row.instrument), str(row.kind), Decimal(str(row.value))) for row in rows.itertuples(index=False)]

    def next_splits(self, after: pd.Timestamp, count: int = 5) -> list[dict[str, str]]:
        """List the first splits after a date: when, of what, new shares per old one."""
        rows = self.corporate_actions
        rows = rows[(rows["date"] > after) & (rows["kind"] == SPLIT)].head(count)
        return [
            {"date": f"{row.date:%Y-%m-%d}", "symbol": str(row.instrument), "ratio": str(row.value)}
            for row in rows.itertuples(index=False)
        ]

    def bars_json(self, query: dict[str, str], newest: pd.Timestamp | None = None) -> dict[str, Any]:
        """Answer one page of ``/v2/stocks/bars``; pages run across symbols, as Alpaca's do.

        Parameters
        ----------
        query
            The question.
        newest
            The last session that has closed; what came later is not known yet.
        """
        symbols = [name.strip() for name in query["symbols"].split(",")]
        rows = self.bars[self.bars["instrument"].isin(symbols)]
        if newest is not None:
            rows = rows[rows["date"] <= newest]
        stamps = rows["date"].dt.tz_localize(NEW_YORK).dt.tz_convert("UTC")
        rows = rows.assign(stamp=stamps)
        if "start" in query:
            rows = rows[rows["stamp"] >= _utc(query["start"])]
        if "end" in query:
            rows = rows[rows["stamp"] <= _utc(query["end"])]
        page, token = _page(rows, query, 10_000)
        bars: dict[str, list[dict[str, Any]]] = {}
        for row in page.itertuples(index=False):
            bars.setdefault(str(row.instrument), []).append(
                {
                    "t": row.stamp.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "o": row.open,
                    "h": row.high,
                    "l": row.low,
                    "c": row.close,
                    "v": row.volume,
                    "n": 1,
                    "vw": row.close,
                }
            )
        return {"bars": bars, "next_page_token": token}

    def corporate_actions_json(self, query: dict[str, str]) -> dict[str, Any]:
        """Answer one page of ``/v1/corporate-actions``."""
        rows = self.corporate_actions
        if "symbols" in query:
            rows = rows[rows["instrument"].isin(query["symbols"].split(","))]
        rows = rows[rows["date"].between(pd.Timestamp(query["start"]), pd.Timestamp(query["end"]))]
        page, token = _page(rows[rows["kind"].isin([SPLIT, CASH_DIVIDEND])], query, 1000)
        first = "page_token" not in query
        groups = {sort: list(rows) for sort, rows in self._announcements.items()} if first else {}
        for index, row in enumerate(page.itertuples(index=False)):
            name, facts = _action_json(row.kind, row.value)
            day = f"{row.date:%Y-%m-%d}"
            facts |= {"symbol": row.instrument, "ex_date": day, "process_date": day}
            groups.setdefault(name, []).append(facts | {"id": f"00000000-0000-4000-8000-{index:012d}"})
        return {"corporate_actions": groups, "next_page_token": token}


def _table(kinds: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


def _action_json(kind: str, value: float) -> tuple[str, dict[str, Any]]:
    if kind == CASH_DIVIDEND:
        return "cash_dividends", {"cusip": "", "rate": value, "special": False, "foreign": False}
    if value > 1:
        return "forward_splits", {"cusip": "", "new_rate": value, "old_rate": 1}
    return "reverse_splits", {"old_cusip": "", "new_cusip": "", "new_rate": 1, "old_rate": 1 / value}


def _page(rows: pd.DataFrame, query: dict[str, str], largest: int) -> tuple[pd.DataFrame, str | None]:
    size = min(int(query.get("limit", largest)), largest)
    begin = int(query.get("page_token", TOKEN_MARK + "0").removeprefix(TOKEN_MARK))
    more = begin + size < len(rows)
    return rows.iloc[begin : begin + size], f"{TOKEN_MARK}{begin + size}" if more else None


def _utc(text: str) -> pd.Timestamp:
    at = pd.Timestamp(text)
    return at.tz_localize("UTC") if at.tzinfo is None else at.tz_convert("UTC")
