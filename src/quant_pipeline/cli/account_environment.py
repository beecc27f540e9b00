"""A new account is a new Kedro environment: a folder of configuration made from another one's."""

import re
from pathlib import Path

from quant_pipeline.exceptions import ConfigurationError

NAME = re.compile(r"[a-z][a-z0-9_-]{0,15}")
RESERVED = ("base", "local")


def scaffold_environment(conf: Path, name: str, source: str) -> tuple[Path, ...]:
    """Write the configuration of a new account.

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
        When the name cannot be used or the source does not exist.
    """
    target, origin = conf / name, conf / source
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ConfigurationError(
            f"'{name}' cannot name an account: take up to 16 of a-z 0-9 _ -, beginning with a letter, and not "
            f"{' or '.join(RESERVED)}"
        )
    if target.exists():
        raise ConfigurationError(f"there is an environment '{name}' already ({target}); take another name")
    if source in RESERVED or not origin.is_dir():
        known = sorted(path.name for path in conf.iterdir() if path.is_dir() and path.name not in RESERVED)
        raise ConfigurationError(f"there is no environment '{source}' to copy; there are {', '.join(known)}")
    texts = {
        path.relative_to(origin): _without_identity(path.read_text(encoding="utf-8"))
        for path in sorted(origin.rglob("*.yml"))
        if not path.name.startswith("credentials")
    }
    texts[Path("globals.yml")] = _with_name(texts.get(Path("globals.yml"), ""), name)
    for relative, text in texts.items():
        file = target / relative
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tuple(target / relative for relative in texts)


def _without_identity(text: str) -> str:
    """Take out the account number: it belongs to one account, and a person pins the new one."""
    return re.sub(r"^(\s+account_number:).*$", r"\1 null", text, flags=re.MULTILINE)


def _with_name(text: str, name: str) -> str:
    folder = f"data/accounts/{name}"
    text, named = re.subn(r"^account:.*$", f"account: {name}", text, flags=re.MULTILINE)
    text, placed = re.subn(r"^(\s+)account:.*$", rf"\1account: {folder}", text, flags=re.MULTILINE)
    if not named:
        text = f"account: {name}\n{text}"
    if not placed:
        text, paths = re.subn(r"^paths:\s*$", f"paths:\n  account: {folder}", text, flags=re.MULTILINE)
        text += "" if paths else f"paths:\n  account: {folder}\n"
    return text
