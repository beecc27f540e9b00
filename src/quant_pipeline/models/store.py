"""All bundles that a model ever had, and which of them is in use.

A folder holds ``versions/<identity>/``, one immutable bundle each, and ``aliases.json``: which version is the
*candidate* (the newest one trained), which is the *champion* (the one that scores new sessions), and the champions in
their order, so that one command goes back. The aliases are those of a model in MLflow's registry. The history says
since which session each champion has scored; it only grows.
"""

from __future__ import annotations

import json
import logging
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal, NamedTuple

from quant_pipeline.common.atomic import write_text
from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.common.json_files import read_json
from quant_pipeline.common.locks import locked
from quant_pipeline.common.places import Place
from quant_pipeline.models.bundle import MANIFEST, BundleFacts, ModelBundle, read_bundle, read_facts, write_bundle

Role = Literal["candidate", "champion"]
ALIASES = "aliases.json"
ALIASES_PATIENCE = 30.0
"""Seconds to wait while another process changes the aliases, which takes it a moment."""

logger = logging.getLogger(__name__)


class Aliases(NamedTuple):
    """Which version plays which role; None while there is none.

    Attributes
    ----------
    candidate, champion
        Identities.
    champions
        Champions in their order, the present one last; going back removes it.
    history
        Champion and the session from whose close on it scored, for every change whose session was known.
    """

    candidate: str | None
    champion: str | None
    champions: tuple[str, ...]
    history: tuple[tuple[str, str], ...] = ()

    def champion_at(self, session: str) -> str | None:
        """Return the champion at the close of a session, ``YYYY-MM-DD``; None before the first one that is known."""
        return next((identity for identity, since in reversed(self.history) if since <= session), None)

    @property
    def since(self) -> str | None:
        """Session since which the champion scores; None where it is not known."""
        newest = self.history[-1:]
        return newest[0][1] if newest and newest[0][0] == self.champion else None

    def crowned(self, identity: str, champions: tuple[str, ...], session: str | None) -> Aliases:
        """Return the aliases with another champion; without a session the history stays."""
        entered = () if session is None or identity == self.champion else ((identity, session),)
        return self._replace(champion=identity, champions=champions, history=(*self.history, *entered))


def read_description(manifest: Path) -> dict[str, Any]:
    """Return what the manifest of a bundle says about it, as it was written; nothing of it is verified.

    Raises
    ------
    ModelError
        When it cannot be read.
    """
    try:
        return read_json(manifest)
    except ValueError as error:
        raise ModelError(f"{manifest} cannot be read: {error}; train the model again") from error


class BundleStore:
    """Versions of the bundle of one model.

    Parameters
    ----------
    folder
        Where they lie, on this machine or in a bucket; it is made by the first bundle.
    """

    def __init__(self, folder: Path | str | Place) -> None:
        self.place = Place.of(folder)
        self.folder = self.place.path

    @property
    def aliases(self) -> Aliases:
        """Which version plays which role.

        Raises
        ------
        ModelError
            When the file is damaged.
        """
        file = (self.place / ALIASES).fetch()
        if not file.is_file():
            return Aliases(None, None, ())
        try:
            stored = read_json(file)
            history = tuple((identity, since) for identity, since in stored.get("history", ()))
            return Aliases(stored["candidate"], stored["champion"], tuple(stored["champions"]), history)
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{file} is damaged ({error!r}); restore it from a backup, or remove it and train the model again"
            ) from error

    @property
    def n_versions(self) -> int:
        """How many versions there are."""
        return len(self.place.glob(f"versions/*/{MANIFEST}"))

    def folder_of(self, role: Role) -> Path:
        """Directory of the version that plays a role.

        Raises
        ------
        ModelError
            When no version plays it.
        """
        identity = getattr(self.aliases, role)
        if identity is None:
            raise ModelError(
                f"there is no {role} in {self.folder}; train the model first: kedro run --pipelines training"
            )
        return self._version(identity).fetch()

    def facts(self, role: Role) -> BundleFacts:
        """Read and verify what the version that plays a role says about itself."""
        return read_facts(self.folder_of(role))

    def description(self, role: Role) -> dict[str, Any]:
        """Return what the version that plays a role says about itself, see `models.bundle.BundleFacts`."""
        return read_description(self.folder_of(role) / MANIFEST)

    def inputs(self, role: Role) -> dict[str, str]:
        """Hashes of what the version that plays a role was trained from, see `models.fingerprint`."""
        return dict(self.description(role)["inputs"])

    def read(self, role: Role) -> ModelBundle:
        """Read and verify the version that plays a role."""
        return read_bundle(self.folder_of(role))

    def read_version(self, identity: str) -> ModelBundle:
        """Read and verify a version."""
        return read_bundle(self._version(identity).fetch())

    def facts_of(self, identity: str) -> BundleFacts:
        """Read and verify what a version says about itself."""
        return read_facts(self._version(identity).fetch())

    def add(self, bundle: ModelBundle, *, promote: bool, session: str | None = None) -> None:
        """Keep a bundle as the candidate.

        Parameters
        ----------
        bundle
            The bundle; a version that is there already is left as it is, unless it is damaged.
        promote
            Whether it becomes the champion at once; the very first version always does. One that is the candidate
            already is no new one: if it is not champion, it waits, or the operator has gone back from it.
        session
            Session of the run, for the history.
        """
        identity = bundle.identity
        write_bundle(bundle, self._version(identity).fetch())
        self._version(identity).publish(whole=True)
        with self._changing():
            before = self.aliases
            is_new, aliases = identity != before.candidate, before._replace(candidate=identity)
            # Both roles in one write: a kill between two would leave a candidate that training promotes never again.
            self._write(_promoted(aliases, session) if (promote and is_new) or aliases.champion is None else aliases)

    def promote(self, session: str | None = None) -> str:
        """Make the candidate the champion and return its identity; a candidate that is champion stays it.

        Raises
        ------
        ModelError
            When there is no candidate.
        """
        with self._changing():
            identity = self.folder_of("candidate").name
            self._write(_promoted(self.aliases, session))
        return identity

    def restore(self, identity: str, session: str | None = None) -> None:
        """Make a version that has been champion before the champion again.

        Raises
        ------
        ModelError
            When the version is not there any more, or damaged.
        """
        self.facts_of(identity)
        with self._changing():
            aliases = self.aliases
            if identity != aliases.champion:
                self._write(aliases.crowned(identity, (*aliases.champions, identity), session))

    def roll_back(self, session: str | None = None) -> str:
        """Return to the champion before the present one, and return its identity.

        Raises
        ------
        ModelError
            When there was none before.
        """
        with self._changing():
            aliases = self.aliases
            if len(aliases.champions) < 2:
                raise ModelError(f"there is no champion before the present one in {self.folder}; nothing was changed")
            earlier = aliases.champions[:-1]
            self._write(aliases.crowned(earlier[-1], earlier, session))
        return earlier[-1]

    def _version(self, identity: str) -> Place:
        return self.place / "versions" / identity

    def _changing(self) -> AbstractContextManager[None]:
        """Keep other processes from changing the aliases between our reading and writing of them."""
        if not self.folder.is_dir():
            return nullcontext()
        return locked(
            self.folder / ".lock", f"the store {self.folder}", patience=ALIASES_PATIENCE, on_wait=logger.debug
        )

    def _write(self, aliases: Aliases) -> None:
        write_text(self.folder / ALIASES, json.dumps(aliases._asdict(), indent=2) + "\n")
        (self.place / ALIASES).publish()


def _promoted(aliases: Aliases, session: str | None) -> Aliases:
    candidate = aliases.candidate
    if aliases.champion == candidate or candidate is None:
        return aliases
    return aliases.crowned(candidate, (*aliases.champions, candidate), session)
