"""The default session of an account that keeps its own time: the one that was booked last.

`project.resolvers` registers `last_booked_session` as the resolver of this name; ``conf/base/globals.yml`` uses it.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from quant_pipeline.common.places import require_local
from quant_pipeline.project.unresolved import plain

if TYPE_CHECKING:
    from quant_pipeline.project.configuration import ProjectConfigLoader

logger = logging.getLogger(__name__)

RESOLVER: Final = "last_booked_session"
_CLOSED = "select max(session) from event where kind = 'session_closed'"


def last_booked_session(loader: ProjectConfigLoader, default: str) -> str:
    """Return the last session that the account of the environment has booked.

    Parameters
    ----------
    loader
        The configuration that asks.
    default
        Returned before the first one, and for a ledger that is no file.
    """
    folder = loader.project / require_local(str(plain(loader, "${globals:paths.account}")), "`paths.account`")
    return _last_closed(folder / "ledger.sqlite") or default


def _last_closed(file: Path) -> str | None:
    """Read one line; a ledger that cannot be read is reported by the command that needs it."""
    if not file.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (found,) = connection.execute(_CLOSED).fetchone()
    except sqlite3.Error as error:
        logger.debug("no booked session in %s: %s", file, error)
        return None
    return None if found is None else str(found)
