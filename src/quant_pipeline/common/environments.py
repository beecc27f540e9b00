"""Environments of a project, and commands in messages, which name the environment that they belong to.

Most code that advises a command works for any account and does not know the environment. The code that
opened it does, and adds it here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from quant_pipeline.common.exceptions import QuantPipelineError

DEFAULT_ENVIRONMENT: Final = "sim"
"""Environment of a command that names none."""
LOCAL: Final = "local"
"""Folder of personal overrides, applied last to every account."""
SHARED: Final = ("base", LOCAL)
"""Folders of ``conf/`` that hold no account."""
REHEARSAL: Final = "rehearsal"
"""End of the names of accounts and markets that are rehearsed in an environment, see `project.rehearsal`."""
COMMAND = re.compile(
    r"kedro (?:run --pipelines \w++(?:,\w++)*+"
    r"|account (?:adjust|arm|cancel|disarm|flatten|halt|quarantine (?:list|book|dismiss))\b"
    r"|account (?:missed|orders|pnl|reconcile|replan|resume|show|trades|verify|why)\b"
    r"|mlflow ui\b"
    r"|models (?:as-of|continue|list|plan|promote|rollback|train)\b)(?! --env)"
)
"""A command of the project that takes ``--env`` and has none."""


def environments_in(conf: Path) -> list[str]:
    """Return the names of the environments that have accounts, sorted.

    Parameters
    ----------
    conf
        Folder of the configuration.
    """
    names = (path.name for path in conf.glob("[!.]*") if path.is_dir())
    return sorted(name for name in names if name not in SHARED)


def in_environment(text: str, environment: str | None) -> str:
    """Add ``--env`` to the commands of a text, unless the environment is the default one.

    The name of an account is that of its environment; what it is called in a rehearsal names the same environment.
    """
    environment = environment and environment.removesuffix(f"-{REHEARSAL}")
    if environment in (None, DEFAULT_ENVIRONMENT):
        return text
    return COMMAND.sub(lambda found: f"{found[0]} --env {environment}", text)


@contextmanager
def naming_environment(environment: str | None) -> Iterator[None]:
    """Add ``--env`` to the commands that an error of this block advises."""
    try:
        yield
    except QuantPipelineError as error:
        error.message = in_environment(error.message, environment)  # type: ignore[misc]  # click's own never change it
        raise
