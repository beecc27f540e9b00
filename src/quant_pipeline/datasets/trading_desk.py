"""The way to a broker as a dataset: loading opens nothing, it only knows the address and the keys.

A node that sends orders cannot be a pure function of tables. What it does to the outside goes through the object that
this dataset loads, and through nothing else; everything before and after it (limits, verdicts, records, reports) stays
pure. Whether a step has been done is recorded in the ledger and not in files, so every node can be run again.
"""

from __future__ import annotations

from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.places import require_local
from quant_pipeline.common.secret_names import without_secrets
from quant_pipeline.datasets.ledger import ANCHORS, address_of
from quant_pipeline.trading.brokers.gateway import Gateway


class BrokerDesk(AbstractDataset[NoReturn, Gateway]):
    """An account at any broker. The broker is imported when the account is opened, not before.

    Parameters
    ----------
    broker
        ``simulated``, ``alpaca``, or the dotted path of an adapter, see
        `quant_pipeline.trading.brokers.adapter.BrokerAdapter`.
    ledger
        ``{filepath: …, anchors: …}`` as `quant_pipeline.datasets.ledger.LedgerEvents` takes it: a SQLite file or an
        SQLAlchemy URL.
    kill_switch
        ``{filepath: …}`` of the file that stops every sender. Kedro lets only paths under such a key begin at the
        folder of the project, wherever a command is typed.
    parameters
        Fields of the adapter.
    credentials
        The keys that the broker needs.
    metadata
        Ignored here; read by kedro-viz.
    """

    # Two processes must not send the orders of one account at the same time.
    _SINGLE_PROCESS = True

    def __init__(
        self,
        broker: str,
        ledger: dict[str, Any],
        kill_switch: dict[str, str],
        parameters: dict[str, Any] | None = None,
        credentials: dict[str, str | None] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._broker = broker
        place = dict(ledger)
        anchors = place.pop("anchors", None)
        self._anchors = None if anchors is None else require_local(_filepath("anchors", anchors), ANCHORS)
        self._ledger = address_of(_filepath("ledger", place))
        self._kill_switch = require_local(_filepath("kill_switch", kill_switch), "the file that stops every sender")
        self._parameters = parameters or {}
        self._credentials = credentials or {}
        self.metadata = metadata

    def load(self) -> Gateway:
        """Return the way to the broker."""
        return Gateway(
            self._broker, self._parameters, self._ledger, self._kill_switch, self._credentials, self._anchors
        )

    def save(self, data: NoReturn) -> None:
        """Refuse: a broker is asked, not overwritten."""
        raise DatasetError(f"{type(self).__name__} cannot be saved; orders are sent by the nodes of execution")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"broker": self._broker, "ledger": without_secrets(self._ledger)}


def _filepath(key: str, place: dict[str, str]) -> str:
    if not isinstance(place, dict) or set(place) != {"filepath"}:
        raise ConfigurationError(
            f"`{key}: {place}` of trading_desk in the catalog has to be `{key}: {{filepath: …}}`, so that it is the "
            "same file wherever a command is typed"
        )
    return place["filepath"]
