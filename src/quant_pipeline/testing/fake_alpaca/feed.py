"""The activity feed: everything that moved cash or shares, in pages, as ``/v2/account/activities`` returns it."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pandas as pd

from quant_pipeline.testing.fake_alpaca.script import Director

LARGEST_PAGE = 100

Record = dict[str, Any]


class ActivityFeed:
    """Records with strictly growing ids ``YYYYMMDDHHMMSSmmm::uuid``.

    Parameters
    ----------
    director
        Says which records are hidden, lost, repeated or turned around.
    seed
        Seed of the uuids, so that a rehearsal repeats exactly.
    """

    def __init__(self, director: Director, seed: int = 0) -> None:
        self._director = director
        self._random = random.Random(seed)  # noqa: S311 - identifiers, not secrets
        self._latest = pd.Timestamp(0, tz="UTC")
        self.records: list[Record] = []
        self._hidden: dict[str, int] = {}

    def new_uuid(self) -> str:
        """Return the next identifier."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def append(self, at: pd.Timestamp, facts: Record, execution_id: str | None = None) -> Record:
        """Record a fact; a fill may get lost when the script says so.

        Returns
        -------
        dict
            The record with its id.
        """
        is_fill = facts["activity_type"] == "FILL"
        if is_fill and self._director.feed.unknown_type:
            self._store(at, {"activity_type": "NEWTYPE", "date": f"{at:%Y-%m-%d}", "net_amount": "0"}, None)
        return self._store(at, facts, execution_id, lost=is_fill and self._director.takes_one("fills_to_lose"))

    def _store(self, at: pd.Timestamp, facts: Record, execution_id: str | None, lost: bool = False) -> Record:
        # Two facts of one millisecond would have no order.
        self._latest = max(at.floor("ms"), self._latest + pd.Timedelta(milliseconds=1))
        stamp = f"{self._latest:%Y%m%d%H%M%S%f}"[:17]
        record = {"id": f"{stamp}::{execution_id or self.new_uuid()}"} | facts
        if not lost:
            self.records.append(record)
            self._hidden[record["id"]] = self._director.feed.hidden_reads
        return record

    def page(self, query: dict[str, str]) -> list[Record]:
        """Answer one request for a page.

        Parameters
        ----------
        query
            ``activity_types``, ``order_id``, ``date``, ``after``, ``until``, ``direction`` (default ``desc``),
            ``page_size`` and ``page_token``.
        """
        rows = [row for row in self._visible() if _matches(row, query)]
        ascending = query.get("direction", "desc") == "asc"
        rows.sort(key=lambda row: row["id"], reverse=not ascending)
        token = query.get("page_token")
        if token:
            again = self._director.feed.repeat_cursor
            rows = [
                row
                for row in rows
                if (row["id"] > token if ascending else row["id"] < token) or (again and row["id"] == token)
            ]
        page = rows[: min(int(query.get("page_size", LARGEST_PAGE)), LARGEST_PAGE)]
        if self._director.feed.duplicate:
            page = [row for row in page for _ in range(2)]
        return page[::-1] if self._director.feed.reorder else page

    def _visible(self) -> list[Record]:
        visible = []
        for row in self.records:
            if self._hidden[row["id"]] > 0:
                self._hidden[row["id"]] -= 1
            else:
                visible.append(row)
        return visible


def _matches(row: Record, query: dict[str, str]) -> bool:
    types = query.get("activity_types")
    day = row.get("date") or row["transaction_time"]
    return (
        (not types or row["activity_type"] in types.split(","))
        and ("order_id" not in query or row.get("order_id") == query["order_id"])
        and ("date" not in query or day[:10] == query["date"][:10])
        and ("after" not in query or day[:10] > query["after"][:10])
        and ("until" not in query or day[:10] < query["until"][:10])
    )
