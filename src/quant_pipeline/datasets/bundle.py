"""The bundles of one model as a dataset: saving adds a version, loading verifies the one that plays a role."""

import logging
from pathlib import Path
from typing import Any, Literal

from kedro.io import AbstractDataset

from quant_pipeline.exceptions import ModelError
from quant_pipeline.models.bundle import ModelBundle
from quant_pipeline.models.store import BundleStore, Role

logger = logging.getLogger(__name__)


class ModelBundles(AbstractDataset[ModelBundle, ModelBundle | None]):
    """Versions of the bundle of one model.

    Parameters
    ----------
    filepath
        Folder of the store.
    role
        Which version is loaded: the newest ``candidate``, or the ``champion`` that scores new sessions.
    promotion
        ``automatic``: a saved bundle is champion at once. ``gated``: `kedro models promote` makes it champion.
    optional
        Whether a bundle that is absent or damaged loads as None: what training finds is to be replaced anyway.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(
        self,
        filepath: str,
        role: Role = "candidate",
        promotion: Literal["automatic", "gated"] = "automatic",
        optional: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.store = BundleStore(Path(filepath))
        self._role = role
        self._promotion = promotion
        self._optional = optional
        self.metadata = metadata

    def load(self) -> ModelBundle | None:
        """Read and verify the version."""
        if not self._optional:
            return self.store.read(self._role)
        if not self._exists():
            return None
        try:
            return self.store.read(self._role)
        except ModelError as error:
            logger.warning("%s", error.message)
            return None

    def save(self, data: ModelBundle) -> None:
        """Add the version."""
        self.store.add(data, promote=self._promotion == "automatic")

    def _exists(self) -> bool:
        return getattr(self.store.aliases, self._role) is not None

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self.store.folder), "role": self._role, "promotion": self._promotion}
