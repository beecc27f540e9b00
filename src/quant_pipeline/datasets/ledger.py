"""The ledger of an account as a dataset: loading reads all events, saving appends the new ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from quant_pipeline.common.databases import lasting_database
from quant_pipeline.common.places import require_local
from quant_pipeline.common.secret_names import without_secrets
from quant_pipeline.datasets.previews import preview_rows
from quant_pipeline.trading.ledger.events import Event
from quant_pipeline.trading.ledger.identity import account_of, require_account
from quant_pipeline.trading.ledger.store import Ledger, require_ledger

ANCHORS = "the file that knows how far a ledger went"


class LedgerEvents(AbstractDataset[Sequence[Event], tuple[Event, ...]]):
    """Events of one account in a SQLite file or another database.

    Parameters
    ----------
    filepath
        The file, which is made by the first save; or an SQLAlchemy URL, for instance
        ``postgresql+psycopg://user@host/accounts``.
    anchors
        ``{filepath: …}`` of the file that knows how far a ledger at a URL went; of a SQLite file it lies beside it.
    account
        Name of the account: a ledger that names another one is refused. None takes any.
    metadata
        Ignored here; read by kedro-viz.
    """

    # Two processes must not append to one account at the same time.
    _SINGLE_PROCESS = True

    def __init__(
        self,
        filepath: str,
        anchors: dict[str, str] | None = None,
        account: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._address = address_of(filepath)
        self._anchors = None if anchors is None else require_local(anchors["filepath"], ANCHORS)
        self._account = account
        self.metadata = metadata

    def load(self) -> tuple[Event, ...]:
        """Read all events; an account that was never used has none.

        Raises
        ------
        AccountError
            When the ledger is of another account.
        """
        events = self.load_of_any()
        if self._account is not None:
            require_account(account_of(events), self._account, self._describe()["filepath"])
        return events

    def load_of_any(self) -> tuple[Event, ...]:
        """Read all events, whichever account they are of."""
        return self.open().events() if self._is_there() else ()

    def save(self, data: Sequence[Event]) -> None:
        """Append what is new, in one transaction."""
        Ledger.open(self._address, self._anchors).append(data)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None when a server keeps the ledger."""
        return None if "://" in self._address else Path(self._address)

    @property
    def url(self) -> str | None:
        """URL of the server that keeps the ledger, which may carry a password; None for a SQLite file."""
        return self._address if "://" in self._address else None

    def open(self) -> Ledger:
        """Open the ledger for reading."""
        if self.file is not None:
            return Ledger.read(self.file)
        return Ledger.open(self._address, self._anchors)

    def verify(self) -> int:
        """Hash the whole chain again and return how many events it has; see `Ledger.verify`."""
        return self.open().verify() if self._is_there() else 0

    def preview(self, nrows: int = 10) -> TablePreview:
        """Newest events, for kedro-viz."""
        newest = self.load()[-nrows:]
        rows = [[f"{event.session:%Y-%m-%d}", str(event.kind), event.key] for event in newest]
        return preview_rows(["session", "kind", "key"], rows)

    def _exists(self) -> bool:
        # Only the node that appends knows whether its events are there, and appending them again is nothing.
        return False

    def _is_there(self) -> bool:
        return self.file is None or require_ledger(self.file)

    def _describe(self) -> dict[str, Any]:
        # A URL may carry a password.
        return {"filepath": without_secrets(self._address)}


def address_of(filepath: str) -> str:
    """Return where a ledger lies: its file, or the URL of its database.

    Raises
    ------
    ConfigurationError
        When it is neither, or nothing would keep the ledger.
    """
    what = "a ledger, which is a SQLite file or the URL of a database server,"
    return lasting_database(filepath, what) or str(require_local(filepath, what))
