"""The folder of an account's statements as a dataset."""

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset
from kedro.io.core import DatasetError

from quant_pipeline.trading.statements import StatementFile


class StatementFolder(AbstractDataset[NoReturn, tuple[StatementFile, ...]]):
    """Every statement below a folder; a folder that does not exist has none.

    Parameters
    ----------
    filepath
        The folder. Files whose names begin with ``.`` or ``~`` (open in a spreadsheet) are not statements.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> tuple[StatementFile, ...]:
        """Read all files, by name."""
        files = sorted(path for path in self._folder.rglob("*") if path.is_file() and path.name[0] not in ".~")
        return tuple(StatementFile(path.relative_to(self._folder).as_posix(), path.read_bytes()) for path in files)

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: statements come from brokers."""
        raise DatasetError("statements are not written by this project")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}
