"""Files that a page of the documentation shows: blocks of code whose first line is a comment with the file's path."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

BLOCK = re.compile(r"```\w+\n# (\S+)\n(.*?)```", re.DOTALL)
COMMANDS = re.compile(r"```bash\n(.*?)```", re.DOTALL)


def files_of(page: Path) -> dict[str, str]:
    """Return the content of every file of a page by its path."""
    return dict(BLOCK.findall(page.read_text()))


def commands_of(page: Path) -> list[str]:
    """Return the commands of a page in their order."""
    return [line for block in COMMANDS.findall(page.read_text()) for line in block.splitlines() if line]


def write_files(page: Path, project: Path) -> None:
    """Write the files of a page into a project; keys of YAML are added to what is there, as a reader would."""
    for name, content in files_of(page).items():
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".yml" and file.exists():
            content = yaml.safe_dump(_merged(yaml.safe_load(file.read_text()), yaml.safe_load(content)))
        file.write_text(content)


def _merged(old: dict, new: dict) -> dict:
    both = {key: _merged(old[key], new[key]) for key in old.keys() & new.keys() if isinstance(old[key], dict)}
    return {**old, **new, **both}
