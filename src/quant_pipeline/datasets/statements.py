"""The folder of an account's statements as a dataset."""

from datetime import UTC, datetime
from typing import Any, NoReturn

from kedro.io import AbstractDataset
from kedro.io.core import DatasetError

from quant_pipeline.common.places import Place
from quant_pipeline.trading.statements import StatementFile
from quant_pipeline.trading.statements.contents import is_system_file


class StatementFolder(AbstractDataset[NoReturn, tuple[StatementFile, ...]]):
    """Every statement below a folder; a folder that does not exist has none.

    Parameters
    ----------
    filepath
        The folder. What an operating system, an editor or an unfinished download left there is no statement.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._place = Place.of(filepath)
        self.metadata = metadata

    def load(self) -> tuple[StatementFile, ...]:
        """Read all files, by name."""
        folder = self._place.fetch()
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        today = datetime.now(UTC).date()
        return tuple(
            StatementFile(name, files[name].read_bytes(), today) for name in sorted(files) if not is_system_file(name)
        )

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: statements come from brokers."""
        raise DatasetError("statements are not written by this project")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._place)}
