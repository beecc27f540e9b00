"""The model of the rehearsal: two versions of a small ridge regression, in the store that the catalog names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from quant_pipeline.models.bundle import ModelBundle, write_bundle
from quant_pipeline.models.store import BundleStore
from quant_pipeline.models.training import train_bundle
from quant_pipeline.testing.planted_panel import planted_facts, planted_panel

MODEL = "rehearsed"
PENALTIES = (0.01, 0.1)
WEIGHTS = "model.safetensors"


class RehearsedModel:
    """The store of the model, and what goes wrong in it.

    Parameters
    ----------
    models
        Folder of all models of the account.
    """

    def __init__(self, models: Path) -> None:
        self.store = BundleStore(models / MODEL / "bundle")
        self._is_damaged = False
        self._bundles = [_trained(penalty) for penalty in PENALTIES]
        for bundle in self._bundles:
            self.store.add(bundle, promote=True)

    def promote_other(self, session: pd.Timestamp) -> None:
        """Make the version that is not champion the champion."""
        self.store.restore(self._other.identity, f"{session:%Y-%m-%d}")

    def promote_damaged(self, session: pd.Timestamp) -> None:
        """Promote the version that is not champion after a byte of its weights has changed."""
        other = self._other
        self.store.add(other, promote=False)
        self._damage(other.identity)
        self.store.promote(f"{session:%Y-%m-%d}")

    @property
    def _other(self) -> ModelBundle:
        (other,) = [bundle for bundle in self._bundles if bundle.identity != self.store.aliases.champion]
        return other

    def damage(self) -> None:
        """Change a byte of the champion's weights."""
        self._damage(str(self.store.aliases.champion))

    def _damage(self, identity: str) -> None:
        self._is_damaged = True
        file = self.store.folder / "versions" / identity / WEIGHTS
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(bytes(content))

    def repair(self) -> None:
        """Put every version back as it was, as from a backup, if one is damaged."""
        if not self._is_damaged:
            return
        self._is_damaged = False
        for bundle in self._bundles:
            folder = self.store.folder / "versions" / bundle.identity
            shutil.rmtree(folder, ignore_errors=True)
            write_bundle(bundle, folder)


def _trained(penalty: float) -> ModelBundle:
    panel = planted_panel()
    facts = planted_facts("ridge", alpha=penalty)
    return train_bundle(facts, panel.features, panel.labels, panel.members, panel.segments)
