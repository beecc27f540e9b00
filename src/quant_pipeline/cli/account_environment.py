"""A new account is a new Kedro environment: a folder of configuration made from another one's."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.representer import RoundTripRepresenter

from quant_pipeline.common.atomic import replacing_folder, sweep
from quant_pipeline.common.environments import REHEARSAL, SHARED, environments_in
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.listing import first_of

NAME = re.compile(r"[a-z][a-z0-9_-]{0,15}")
SUFFIXES = (".yml", ".yaml", ".json")
GLOBALS = Path("globals.yml")
Edit = Callable[[Any], bool]
"""Changes a mapping of YAML in place and returns whether it changed anything."""


def scaffold_environment(conf: Path, name: str, source: str) -> tuple[Path, ...]:
    """Write the configuration of a new account, all files of it or none.

    Parameters
    ----------
    conf
        Folder of the configuration.
    name
        Name of the account and of its environment.
    source
        Environment to copy. Credentials and the pinned account number are not copied, and neither is anything that the
        other account owns: the new one begins without a ledger.

    Returns
    -------
    tuple of Path
        The files that were written.

    Raises
    ------
    ConfigurationError
        When the name cannot be used, the source does not exist, or one of its files is not YAML that can be changed.
    """
    target, origin = conf / name, conf / source
    _check_names(conf, name, source)
    texts = {
        path.relative_to(origin): _changed(path, _without_account_number)
        for path in sorted(origin.rglob("*"))
        if path.suffix in SUFFIXES and not _is_skipped(path.relative_to(origin))
    }
    texts[GLOBALS] = _changed(origin / GLOBALS, lambda settings: _named(settings, name))
    _write_folder(target, texts)
    return tuple(target / relative for relative in texts)


def _check_names(conf: Path, name: str, source: str) -> None:
    if not NAME.fullmatch(name) or name in SHARED:
        raise ConfigurationError(
            f"'{name}' cannot name an account: take up to 16 of a-z 0-9 _ -, beginning with a letter, and not "
            f"{' or '.join(SHARED)}"
        )
    if name.endswith(f"-{REHEARSAL}"):
        raise ConfigurationError(f"'{name}' cannot name an account: names of rehearsals end like this")
    if (conf / name).exists():
        raise ConfigurationError(f"there is an environment '{name}' already ({conf / name}); take another name")
    accounts = environments_in(conf)
    if source not in accounts:
        raise ConfigurationError(f"there is no environment '{source}' to copy; there are {first_of(accounts)}")


def _is_skipped(relative: Path) -> bool:
    """Whether Kedro reads keys from a file, or does not read it at all because it is hidden."""
    return any(part.startswith((".", "credentials")) for part in relative.parts)


def _without_account_number(settings: Any) -> bool:
    """Take out the account number: it belongs to one account, and the operator pins the new one."""
    execution = settings.get("execution")
    if not isinstance(execution, dict) or execution.get("account_number") is None:
        return False
    execution["account_number"] = None
    return True


def _named(settings: Any, name: str) -> bool:
    settings["account"] = name
    if settings.get("paths") is None:
        settings["paths"] = type(settings)()
    settings["paths"]["account"] = f"data/accounts/{name}"
    return True


def _changed(path: Path, edit: Edit) -> str:
    """Return the text of a file after an edit; comments, blank lines, anchors and every other value stay.

    Raises
    ------
    ConfigurationError
        When the file cannot be read, or when an edit would also change another value, as it does through an alias.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    try:
        before = yaml.safe_load(text)
        wanted = {} if before is None else _apart(before)
        if not isinstance(wanted, dict):
            raise ConfigurationError(f"{path} has to hold `key: value` lines; correct it first")
        if not edit(wanted):
            return text
        after = _round_trip(text, edit)
        if yaml.safe_load(after) == wanted:
            return after
    except (YAMLError, yaml.YAMLError, TypeError) as error:
        raise ConfigurationError(f"{path} cannot be copied: {str(error).splitlines()[0]}; correct it first") from error
    raise ConfigurationError(
        f"{path} shares the account's own values with others through an alias; write them out there, then copy it"
    )


class _Representer(RoundTripRepresenter):
    """Writes ``null`` where the library writes nothing."""


_Representer.add_representer(type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null"))


def _apart(value: Any) -> Any:
    """Copy a value so that no two parts of it are the same object, as an alias makes them."""
    match value:
        case dict():
            return {key: _apart(part) for key, part in value.items()}
        case list():
            return [_apart(part) for part in value]
    return value


def _round_trip(text: str, edit: Edit) -> str:
    parser = YAML()
    parser.preserve_quotes = True
    parser.width = 120
    parser.Representer = _Representer
    settings = parser.load(text)
    # A file of comments alone has nothing that they could be kept with.
    heading = text.rstrip() + "\n" if settings is None and text.strip() else ""
    settings = CommentedMap() if settings is None else settings
    edit(settings)
    written = io.StringIO()
    parser.dump(settings, written)
    return heading + written.getvalue()


def _write_folder(target: Path, texts: dict[Path, str]) -> None:
    """Write a folder, whole or not at all; what a killed command has left beside it goes."""
    sweep(target.parent)
    with replacing_folder(target) as beside:
        for relative, text in texts.items():
            file = beside / relative
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
