"""Brokers by name: those that are shipped by a short one, any other by the dotted path of its adapter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.extensions import find_part
from quant_pipeline.common.parameters import describe_faults
from quant_pipeline.trading.brokers.adapter import BrokerAdapter

SHIPPED = {
    "alpaca": "quant_pipeline.trading.brokers.alpaca.adapter.AlpacaAdapter",
    "simulated": "quant_pipeline.trading.brokers.simulated.adapter.SimulatedAdapter",
}


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
    found: type = find_part(name, SHIPPED, type, "broker")
    if not issubclass(found, BrokerAdapter):
        raise ConfigurationError(
            f"broker '{name}' is not a BrokerAdapter; correct `broker` of trading_desk (docs/extending/broker.md)"
        )
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
        raise ConfigurationError(
            f"parameters of broker '{name}': {describe_faults(error, kind)}. Correct them in trading_desk of the "
            "catalog."
        ) from error
