"""Brokers by name: those that are shipped by a short one, any other by the dotted path of its adapter."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from quant_pipeline.exceptions import ConfigurationError
from quant_pipeline.trading.brokers.adapter import BrokerAdapter

SHIPPED = {
    "alpaca": "quant_pipeline.trading.brokers.alpaca.adapter.AlpacaAdapter",
    "simulated": "quant_pipeline.trading.brokers.simulated.adapter.SimulatedAdapter",
}
_PLACE = "`broker` of trading_desk in the catalog"


def find_adapter(name: str) -> type[BrokerAdapter]:
    """Import the adapter of a broker; no other broker is imported.

    Parameters
    ----------
    name
        A short name of `SHIPPED`, or ``package.module.Class``.

    Raises
    ------
    ConfigurationError
        When there is no such broker, or the class is not a complete adapter.
    """
    path = SHIPPED.get(name, name)
    module, _, attribute = path.rpartition(".")
    if not module:
        raise ConfigurationError(
            f"there is no broker '{name}'; {_PLACE} has to be {', '.join(SHIPPED)} or the dotted path of an adapter "
            "(docs/extending/broker.md)"
        )
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"broker '{name}' cannot be imported: {error}. Correct {_PLACE}, or install its package."
        ) from error
    if not (isinstance(found, type) and issubclass(found, BrokerAdapter)):
        raise ConfigurationError(f"'{name}' is not a BrokerAdapter; correct {_PLACE} (docs/extending/broker.md)")
    missing = {*found.__abstractmethods__, *(["capability"] if not hasattr(found, "capability") else [])}
    if missing:
        raise ConfigurationError(
            f"broker '{name}' lacks {', '.join(sorted(missing))}; an adapter defines it (docs/extending/broker.md)"
        )
    return found


def make_adapter(name: str, parameters: Mapping[str, Any]) -> BrokerAdapter:
    """Import the adapter of a broker and give it its parameters.

    Raises
    ------
    ConfigurationError
        When there is no such broker, or a parameter is unknown, missing or does not fit; the message lists all of them.
    """
    kind = find_adapter(name)
    try:
        return kind.model_validate(dict(parameters))
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ConfigurationError(
            f"parameters of broker '{name}': {found}. Correct `parameters` of trading_desk in the catalog."
        ) from error
