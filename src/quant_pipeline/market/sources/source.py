"""What the project has to know about a market source, in one record: shipped ones by name, others by dotted path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

from quant_pipeline.common.extensions import find_part
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.market.data import MarketData

_HERE: Final = "quant_pipeline.market.sources"

SHIPPED: Final[dict[str, str]] = {
    "simulated": f"{_HERE}.simulated.SIMULATED",
    "files": f"{_HERE}.files.FILES",
    "qlib": f"{_HERE}.qlib.QLIB",
    "china": f"{_HERE}.chinese_files.CHINA",
    "alpaca": f"{_HERE}.alpaca.ALPACA",
}
"""Name of a source, as the catalog names it, to the path of its record."""


class MarketRequest(NamedTuple):
    """What is asked of a source, beside its own parameters.

    Attributes
    ----------
    as_of
        Session at whose close the market is observed, ``YYYY-MM-DD``; nothing later may be returned.
    cache
        Folder in which a source may keep what it has read; None keeps nothing.
    credentials
        Entry of ``credentials.yml``; empty when the catalog names none.
    credentials_name
        Name of that entry, for messages.
    """

    as_of: str
    cache: Path | None = None
    credentials: Mapping[str, str | None] = {}
    credentials_name: str = "none"


Block = TypeVar("Block", bound=Parameters)


@dataclass(frozen=True)
class MarketSource(Generic[Block]):
    """One source of market data.

    Attributes
    ----------
    parameters
        Class of its block ``parameters`` in the catalog; a key that is no field is refused.
    read
        ``read(parameters, request)`` returns the market as known at the close of ``request.as_of``, as traded. What
        cannot be used is an error, or listed in `MarketData.problems`.
    facts
        ``facts(parameters)`` returns what the configuration of an environment may take from the source by
        ``${market_files:…}``: ``as_of``, the last session, ``calendar``, its exchange calendar, and ``sessions``, days
        as ``YYYY-MM-DD``. None for a source that has nothing to say before it is read.
    address
        ``address(parameters)`` returns which server is asked, for a source that asks one: bars of two servers never
        meet in one folder.
    """

    parameters: type[Block]
    read: Callable[[Block, MarketRequest], MarketData]
    facts: Callable[[Block], dict[str, Any]] | None = None
    address: Callable[[Block], str] | None = None

    def origin_of(self, name: str, parameters: Block) -> str:
        """Return what bars say of where they come from: the name of the source, and the server that it asked."""
        return name if self.address is None else f"{name} at {self.address(parameters)}"


def find_source(name: str) -> MarketSource[Any]:
    """Return a source by its short name or its dotted path.

    Raises
    ------
    ExtensionError
        When there is no such source, or its module cannot be imported.
    """
    found: MarketSource[Any] = find_part(name, SHIPPED, MarketSource, "market source")
    return found
