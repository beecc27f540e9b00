"""Bundles as datasets: the versions of one model with their measures, and one bundle per window of a walk forward."""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import JSONPreview

from quant_pipeline.common.atomic import write_text
from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.common.json_files import read_json
from quant_pipeline.common.places import Place
from quant_pipeline.datasets.previews import preview_facts
from quant_pipeline.models.bundle import MANIFEST, BundleFacts, ModelBundle, read_bundle, write_bundle
from quant_pipeline.models.store import ALIASES, BundleStore, Role, read_description

logger = logging.getLogger(__name__)

Measures = dict[str, float]
"""Measures by name, such as ``rank_ic``."""


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
    as_of
        Session of the run: the history of champions names it.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(
        self,
        filepath: str,
        role: Role = "candidate",
        promotion: Literal["automatic", "gated"] = "automatic",
        optional: bool = False,
        as_of: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.store = BundleStore(filepath)
        self._role = role
        self._promotion = promotion
        self._optional = optional
        self._as_of = None if as_of is None else str(as_of)
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

    def load_facts(self) -> BundleFacts | None:
        """Read and verify what the version says about itself; None where `load` returns None.

        The model itself is made only when it can score otherwise by now, see `models.bundle.read_facts`.
        """
        if self._optional and not self._exists():
            return None
        try:
            return self.store.facts(self._role)
        except ModelError as error:
            if not self._optional:
                raise
            logger.warning("%s", error.message)
            return None

    def save(self, data: ModelBundle) -> None:
        """Add the version."""
        self.store.add(data, promote=self._promotion == "automatic", session=self._as_of)

    def preview(self) -> JSONPreview:
        """Show what the version says about itself in kedro-viz."""
        if not self._exists():
            return preview_facts({})
        described = self.store.description(self._role)
        shown = ("identity", "spec", "label", "window", "calendar", "inputs", "libraries")
        return preview_facts({name: described[name] for name in shown if name in described})

    @property
    def is_optional(self) -> bool:
        """Whether a bundle that is not there loads as None."""
        return self._optional

    @property
    def _place(self) -> Place:
        return self.store.place

    def _exists(self) -> bool:
        return getattr(self.store.aliases, self._role) is not None

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self.store.place), "role": self._role, "promotion": self._promotion}


class MeasuresByVersion(AbstractDataset[dict[str, Measures], dict[str, Measures]]):
    """How well each version of a model did out of sample: one JSON file per version; saving adds to them.

    Parameters
    ----------
    filepath
        Folder of the files.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._place = Place.of(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Measures]:
        """Read the measures of all versions, by identity; none before the first training.

        Raises
        ------
        ModelError
            When a file is damaged.
        """
        return {file.stem: _read_measures(file) for file in self._files()}

    def save(self, data: dict[str, Measures]) -> None:
        """Write the measures of the given versions."""
        for identity, measures in data.items():
            write_text(self._place.path / f"{identity}.json", json.dumps(measures, indent=2, sort_keys=True) + "\n")
        self._place.publish()

    def preview(self) -> JSONPreview:
        """Measures by version, for kedro-viz."""
        return preview_facts(self.load())

    def _files(self) -> list[Path]:
        return sorted(self._place.fetch().glob("[!.]*.json"))

    def _exists(self) -> bool:
        return bool(self._files())

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._place)}


class Champions(AbstractDataset[NoReturn, dict[str, str]]):
    """The champion of every model: the identity of its bundle, without reading the bundle itself.

    Parameters
    ----------
    filepath
        Folder that holds ``<model>/bundle``, the stores of all models.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._place = Place.of(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, str]:
        """Read the champions; a model without one is left out."""
        found = {model: BundleStore(self._place / model / "bundle").aliases.champion for model in self._models()}
        return {model: champion for model, champion in found.items() if champion is not None}

    def save(self, data: NoReturn) -> None:
        """Refuse: training and `kedro models promote` make champions."""
        raise DatasetError("champions cannot be saved; training and `kedro models promote` make them")

    def preview(self) -> JSONPreview:
        """Champions by model, for kedro-viz."""
        return JSONPreview(json.dumps(self.load()))

    def _models(self) -> list[str]:
        return sorted(name.split("/")[0] for name in self._place.glob(f"*/bundle/{ALIASES}"))

    def _exists(self) -> bool:
        return bool(self._models())

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._place)}


class StoredBundles(Mapping[str, ModelBundle]):
    """Bundles in sub-folders, read and verified one by one when they are asked for.

    Parameters
    ----------
    place
        Their common folder.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    def __getitem__(self, name: str) -> ModelBundle:
        folder = (self._place / name).fetch()
        if not (folder / MANIFEST).is_file():
            raise KeyError(name)
        return read_bundle(folder)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(name.split("/")[0] for name in self._place.glob(f"*/{MANIFEST}")))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def find(self, name: str) -> ModelBundle | None:
        """Return a bundle, or None when it is absent or damaged: it is to be replaced anyway."""
        try:
            return self.get(name)
        except ModelError as error:
            logger.warning("%s", error.message)
            return None


class BundlesByWindow(AbstractDataset[dict[str, ModelBundle], StoredBundles]):
    """One bundle per window; every save adds to what is there, so a walk that was interrupted goes on.

    It never counts as existing: only training knows whether all windows are there, and it keeps those that are.

    Parameters
    ----------
    filepath
        Folder of the bundles.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._place = Place.of(filepath)
        self.metadata = metadata

    def load(self) -> StoredBundles:
        """Look at the bundles; each is read when it is used."""
        return StoredBundles(self._place)

    def save(self, data: dict[str, ModelBundle]) -> None:
        """Write the given windows."""
        for name, bundle in data.items():
            place = self._place / name
            write_bundle(bundle, place.fetch())
            place.publish(whole=True)

    def preview(self) -> JSONPreview:
        """Bundles by window, for kedro-viz."""
        manifests = {window: (self._place / window / MANIFEST).fetch() for window in self.load()}
        return preview_facts({name: read_description(file)["identity"] for name, file in manifests.items()})

    def _exists(self) -> bool:
        return False

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._place)}


def _read_measures(file: Path) -> Measures:
    try:
        return read_json(file)
    except ValueError as error:
        raise ModelError(
            f"{file} cannot be read: {error}; restore it from a backup, or remove it, and the measures of this version "
            "are not known any more"
        ) from error
