"""A model bundle as a dataset: an immutable directory, verified whenever it is loaded."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from quant_pipeline.models.bundle import ModelBundle, read_bundle, write_bundle


class ModelBundleDirectory(AbstractDataset[ModelBundle, ModelBundle]):
    """One model bundle in one directory.

    Parameters
    ----------
    filepath
        The directory of the bundle.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> ModelBundle:
        """Read and verify the bundle."""
        return read_bundle(self._folder)

    def save(self, data: ModelBundle) -> None:
        """Write the bundle beside its place and rename it."""
        write_bundle(data, self._folder)

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}
