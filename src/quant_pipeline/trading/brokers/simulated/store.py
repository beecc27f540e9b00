"""Where the simulated broker keeps its books: one small database, changed in whole transactions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

import pandas as pd
import sqlalchemy as sa

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.common.json_files import parse_object
from quant_pipeline.trading.ledger.connections import durable_engine

_metadata = sa.MetaData()
_documents = sa.Table(
    "simulated_broker",
    _metadata,
    sa.Column("section", sa.String(16), primary_key=True),
    sa.Column("key", sa.String(160), primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
)

Read = TypeVar("Read")

ACCOUNT, ORDER, ACTIVITY = "account", "order", "activity"


@dataclass
class Holding:
    """Shares and what they cost."""

    quantity: int
    cost: Decimal

    @property
    def average_price(self) -> Decimal:
        """Mean cost of a share."""
        return self.cost / self.quantity


@dataclass
class BrokerBooks:
    """The account as of the close of a session."""

    session: pd.Timestamp
    cash: Decimal
    equity: Decimal
    last_equity: Decimal
    suspended: bool = False
    counter: int = 0
    holdings: dict[str, Holding] = field(default_factory=dict)

    def as_document(self) -> str:
        """Write as JSON."""
        facts = {
            "session": f"{self.session:%Y-%m-%d}",
            **{name: str(getattr(self, name)) for name in ("cash", "equity", "last_equity")},
            "suspended": self.suspended,
            "counter": self.counter,
            "holdings": {name: [held.quantity, str(held.cost)] for name, held in self.holdings.items()},
        }
        return json.dumps(facts)

    @classmethod
    def from_document(cls, document: str) -> BrokerBooks:
        """Read from JSON."""
        facts = parse_object(document)
        amounts = {name: Decimal(facts[name]) for name in ("cash", "equity", "last_equity")}
        holdings = {name: Holding(quantity, Decimal(cost)) for name, (quantity, cost) in facts["holdings"].items()}
        session = pd.Timestamp(facts["session"])
        return cls(session, **amounts, suspended=facts["suspended"], counter=facts["counter"], holdings=holdings)


def _readable(read: Callable[[str], Read], document: str, section: str, key: str) -> Read:
    try:
        return read(document)
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise AccountError(
            f"row '{key}' ({section}) of the database of the simulated broker was changed from outside or is damaged "
            f"({error}). Put a copy of the database of before in its place"
        ) from error


class Transaction:
    """What may be read and written while the database is ours."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def documents(self, section: str, after: str = "") -> dict[str, dict[str, Any]]:
        """Return the documents of a section whose keys come after one, by key."""
        found = self._connection.execute(
            sa.select(_documents.c.key, _documents.c.document)
            .where(_documents.c.section == section, _documents.c.key > after)
            .order_by(_documents.c.key)
        )
        return {key: _readable(parse_object, document, section, key) for key, document in found}

    def document(self, section: str, key: str) -> dict[str, Any] | None:
        """Return one document, None when there is none."""
        text = self._text(section, key)
        return None if text is None else _readable(parse_object, text, section, key)

    def put(self, section: str, key: str, document: dict[str, Any]) -> None:
        """Write a document, over an older one of the key."""
        self._put_text(section, key, json.dumps(document))

    def books(self) -> BrokerBooks | None:
        """Return the account, None before it is opened."""
        text = self._text(ACCOUNT, "books")
        return None if text is None else _readable(BrokerBooks.from_document, text, ACCOUNT, "books")

    def put_books(self, books: BrokerBooks) -> None:
        """Write the account."""
        self._put_text(ACCOUNT, "books", books.as_document())

    def _text(self, section: str, key: str) -> str | None:
        wanted = (_documents.c.section == section) & (_documents.c.key == key)
        return self._connection.execute(sa.select(_documents.c.document).where(wanted)).scalar_one_or_none()

    def _put_text(self, section: str, key: str, text: str) -> None:
        wanted = (_documents.c.section == section) & (_documents.c.key == key)
        if self._connection.execute(_documents.update().where(wanted).values(document=text)).rowcount == 0:
            self._connection.execute(_documents.insert().values(section=section, key=key, document=text))


class SimulatedStore:
    """Database of a simulated broker.

    Parameters
    ----------
    url
        SQLAlchemy URL; for SQLite that of a file.
    """

    def __init__(self, url: str | sa.URL) -> None:
        self._engine = durable_engine(url)
        _metadata.create_all(self._engine)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Give the database to one writer; an error takes everything back."""
        with self._engine.begin() as connection:
            yield Transaction(connection)
