"""Values of the configuration before Kedro resolves them, for what has to be known while it is being read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from quant_pipeline.project.references import select

if TYPE_CHECKING:
    from quant_pipeline.project.configuration import ProjectConfigLoader

WHEN_FILES = "when_files"
_CHOICE = re.compile(r"\$\{when_files: *([^,{}]*?) *, *([^,{}]*?) *\}")
_REFERENCE = re.compile(r"\$\{(runtime_params|globals): *([\w.]+) *(?:, *(.+?) *)?\}")


def unresolved(loader: ProjectConfigLoader, kind: str) -> dict[str, Any]:
    """Return one kind of configuration as the files say it: base, the environment, conf/local; only to be read.

    The files are read once: dozens of references ask.
    """
    if kind in loader.as_written:
        return loader.as_written[kind]
    merged: dict[str, Any] = {}
    for file in loader.raw_files(kind):
        for key, value in file.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict) and kind == "globals"
            merged[key] = merged[key] | value if both else value
    loader.as_written[kind] = merged
    return merged


def plain(loader: ProjectConfigLoader, value: Any) -> Any:
    """Resolve the references of a value, without the resolvers of Kedro: this may happen while those are at work."""
    if isinstance(value, dict):
        return {key: plain(loader, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(loader, inner) for inner in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    value = _CHOICE.sub(lambda match: str(when_files(loader, match[1], match[2])), value)
    found = _REFERENCE.fullmatch(value)
    if found is None:
        return _REFERENCE.sub(lambda match: str(plain(loader, match[0])), value) if _REFERENCE.search(value) else value
    place, name, default = found.groups()
    source = loader.runtime_params if place == "runtime_params" else unresolved(loader, "globals")
    known = select(source, name) if source else None
    if known is not None:
        return known
    return None if default is None else plain(loader, default if "${" in default else yaml.safe_load(default))


def when_files(loader: ProjectConfigLoader, chosen: Any, other: Any) -> Any:
    """Return one of two values: the first where the environment names a folder of files, ``market_folder``.

    `ProjectConfigLoader` registers it as the resolver ``when_files``; ``conf/cn`` refers to it.
    """
    return other if plain(loader, "${runtime_params:market_folder, ${globals:market_folder}}") is None else chosen
