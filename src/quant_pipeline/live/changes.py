"""What changes beside a process that lives on: the champions of models, and the files of the configuration.

Nothing here decides whether a change is good: the process lets a command look at it first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from quant_pipeline.common.json_files import read_json

ALIASES = "aliases.json"
"""File of a store that names its champion; `quant_pipeline.models.store` would load kernels to say no more."""

Signature = tuple[tuple[str, int, int], ...]
"""Names, sizes and times of files: another one means that it is worth to look at them."""


class Champion(NamedTuple):
    """The champion of a model, and what its files look like from outside."""

    identity: str
    files: Signature


class ChampionFiles:
    """The champions of all models as their stores name them.

    Parameters
    ----------
    folder
        Folder of the models, ``<model>/bundle`` in it is the store of one; None where the account has no models.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self) -> dict[str, Champion]:
        """Return the champions by model; a store that has none, or cannot be read at this moment, is left out."""
        return dict(self._champions())

    def _champions(self) -> Iterator[tuple[str, Champion]]:
        for file in [] if self._folder is None else sorted(self._folder.glob(f"*/bundle/{ALIASES}")):
            try:
                identity = read_json(file)["champion"]
                if identity:
                    files = signature_of([file.parent / "versions" / identity])
                    yield file.parent.parent.name, Champion(str(identity), files)
            except (OSError, ValueError, KeyError, TypeError):
                continue


class ConfigurationFiles:
    """The files of a configuration, and whether another one lies there since they were looked at last.

    Parameters
    ----------
    folders
        Those of the shared configuration, of the environment, and of personal overrides.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._known = self._before = signature_of(folders)

    def have_changed(self) -> bool:
        """Return whether the files have changed and lie still since the last look; said once for each change.

        An editor writes one file after the other: what has just moved is looked at again the next time.
        """
        now = signature_of(self._folders)
        lies_still, self._before = now == self._before, now
        if not lies_still or now == self._known:
            return False
        self._known = now
        return True


def signature_of(folders: Sequence[Path]) -> Signature:
    """Return names, sizes and times of all files of some folders."""
    return tuple(row for folder in folders for row in _files_of(folder))


def _files_of(folder: Path) -> Iterator[tuple[str, int, int]]:
    for file in sorted(folder.rglob("*")):
        try:
            state = file.stat()
        except OSError:
            continue
        if file.is_file() and not file.name.startswith("."):
            yield str(file), state.st_size, state.st_mtime_ns


def changed(found: Mapping[str, Champion], known: Mapping[str, Champion]) -> dict[str, Champion]:
    """Return the champions that are new, or whose files are others."""
    return {model: champion for model, champion in found.items() if known.get(model) != champion}
