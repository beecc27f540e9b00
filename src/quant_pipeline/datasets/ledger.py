"""The ledger of an account as a dataset: loading reads all events, saving appends the new ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from quant_pipeline.trading.domain import Event
from quant_pipeline.trading.ledger import Ledger


class LedgerEvents(AbstractDataset[Sequence[Event], tuple[Event, ...]]):
    """Events of one account in a SQLite file.

    Parameters
    ----------
    filepath
        The file; it is made by the first save.
    metadata
        Ignored here; read by kedro-viz.
    """

    # Two processes must not append to one account at the same time.
    _SINGLE_PROCESS = True

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._file = Path(filepath)
        self.metadata = metadata

    def load(self) -> tuple[Event, ...]:
        """Read all events; an account that was never used has none."""
        return Ledger.at(self._file).events() if self._file.exists() else ()

    def save(self, data: Sequence[Event]) -> None:
        """Append what is new, in one transaction."""
        Ledger.at(self._file).append(data)

    def preview(self, nrows: int = 10) -> dict[str, Any]:
        """Newest events, for kedro-viz."""
        newest = self.load()[-nrows:]
        columns = ["session", "kind", "key"]
        rows = [[f"{event.session:%Y-%m-%d}", str(event.kind), event.key] for event in newest]
        return {"index": list(range(len(rows))), "columns": columns, "data": rows}

    def _exists(self) -> bool:
        return self._file.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._file)}
