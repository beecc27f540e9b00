"""Where a backtest is stored: the account's own beside the pages of the account, every other one under its name.

`project.resolvers` registers `backtest_folder`, which ``conf/base/catalog_account.yml`` uses, and `search_folder` of
``conf/base/catalog_ensemble_search.yml``. Evaluations of signals are kept apart in the same way, see
`project.signal_models`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from quant_pipeline.common.exceptions import ConfigurationError

if TYPE_CHECKING:
    from quant_pipeline.project.configuration import ProjectConfigLoader

RESOLVER: Final = "backtest_folder"
OWN: Final = "backtest"
"""Folder of the backtest of the parameters in the account's files."""
CALLED: Final = "own"
"""What commands call it."""
OTHERS: Final = "backtests"
"""Folder of the named ones."""
RULES: Final = ("strategy", "market_rules", "cost_rules", "account")
"""Blocks of the parameters that hold the rules and the cash of the account."""
DECISIVE: Final = (*RULES, "ensemble", "backtest")
"""Blocks of the parameters that decide what a backtest of the same scores gives."""
RHYTHM: Final = "rhythm"
"""Parameter of a run that decides the schedule of the strategy."""
LONGEST: Final = 80
SEARCH_RESOLVER: Final = "search_folder"
OWN_SEARCH: Final = "ensemble_search"
"""Folder of the search by the rules in the account's files."""
OTHER_SEARCHES: Final = "ensemble_searches"
"""Folder of those by other rules."""


def backtest_folder(loader: ProjectConfigLoader, _: str = "") -> str:
    """Return the folder of the backtest of a run, below ``08_reporting``.

    ``--params backtest.name=wide`` names it. A run whose ``--params`` change what a backtest depends on is named by
    them, so that it never takes the place of the account's own.

    Raises
    ------
    ConfigurationError
        When the name is no plain name.
    """
    given = loader.runtime_params
    block = given.get("backtest")
    name = block.get("name") if isinstance(block, Mapping) else None
    if name is None:
        changed = changed_parameters(given)
        if not changed:
            return OWN
        name = name_of(changed)
    if name == CALLED:
        raise ConfigurationError(
            f"backtest.name is '{CALLED}', which means the backtest of the account's files; take another name."
        )
    if not re.fullmatch(r"\w[\w.=-]*", str(name)) or len(str(name)) > LONGEST:
        raise ConfigurationError(
            f"backtest.name is '{name}'; a name has at most {LONGEST} letters, digits, points, hyphens and underscores."
        )
    return f"{OTHERS}/{name}"


def search_folder(loader: ProjectConfigLoader, _: str = "") -> str:
    """Return the folder of the search of a run, below ``08_reporting``.

    A run whose ``--params`` change the rules of the account is named by them: `kedro ensemble adopt` takes the search
    by the rules that the account trades by.
    """
    changed = changed_in(loader.runtime_params, (*RULES, RHYTHM))
    return f"{OTHER_SEARCHES}/{name_of(changed)}" if changed else OWN_SEARCH


def changed_parameters(given: Mapping[str, Any]) -> list[str]:
    """Return what ``--params`` change of what a backtest depends on: ``strategy.topk=20``."""
    return changed_in(given, (*DECISIVE, RHYTHM))


def changed_in(given: Mapping[str, Any], blocks: Iterable[str]) -> list[str]:
    """Return what ``--params`` change in some blocks, as they are typed: ``strategy.topk=20``."""
    return [item for key in blocks if key in given for item in _flat(key, given[key])]


def name_of(changed: Iterable[str]) -> str:
    """Name a folder by the parameters that were changed; other parameters never give the same name.

    What a path cannot hold is left out, and what is too long is cut; the name then ends with a digest of the whole.
    """
    written = sorted(changed)
    name = "__".join(re.sub(r"[^\w.=-]+", "_", item) for item in written)
    if len(name) <= LONGEST and name == "__".join(written):
        return name
    digest = hashlib.sha256("+".join(written).encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 9]}-{digest}"


def _flat(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner, each in value.items():
            yield from _flat(f"{key}.{inner}", each)
    else:
        yield f"{key}={value}"
