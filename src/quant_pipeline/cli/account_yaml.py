"""Blocks of an account's YAML that commands write: comments and order of what is there stay."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quant_pipeline.common.exceptions import ConfigurationError

if TYPE_CHECKING:
    from quant_pipeline.cli.opened_project import OpenedProject


def file_of_block(opened: OpenedProject, block: str, name: str) -> Path:
    """Return the file of the account that has a block of the parameters, or the one of this name that is to have it."""
    from omegaconf import OmegaConf

    folder = opened.configuration.project / "conf" / opened.configuration.environment
    for file in sorted(folder.rglob("parameters*.y*ml")):
        if block in (OmegaConf.to_container(OmegaConf.load(file), resolve=False) or {}):
            return file
    return folder / name


def edited(file: Path, change: Callable[[Any], None]) -> str:
    """Return the text of a YAML file after a change of its content; a file that is not there is empty."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    yaml = YAML()
    yaml.width = 120
    content: Any = yaml.load(file.read_text(encoding="utf-8")) if file.is_file() else None
    content = CommentedMap() if content is None else content
    change(content)
    written = StringIO()
    yaml.dump(content, written)
    return written.getvalue()


def require_reachable(opened: OpenedProject, key: str, remedy: str = "remove it there") -> None:
    """Refuse a key that conf/local would hide from every account."""
    from omegaconf import OmegaConf

    for file in opened.configuration.local_files():
        path = opened.configuration.project / "conf" / "local" / file
        if path.is_file() and OmegaConf.select(OmegaConf.load(path), key) is not None:
            raise ConfigurationError(f"conf/local/{file} sets {key} for every account; {remedy}")
