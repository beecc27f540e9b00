"""The way to a broker as a dataset: loading opens nothing, it only knows the address and the keys.

A node that sends orders cannot be a pure function of tables. What it does to the outside goes through the object that
this dataset loads, and through nothing else; everything before and after it (limits, verdicts, records, reports) stays
pure. Whether a step has been done is never told by files but by the ledger, so every node can be run again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, NoReturn

from kedro.io import AbstractDataset, DatasetError

from quant_pipeline.datasets.ledger import LedgerEvents
from quant_pipeline.trading.brokers.capabilities import ALPACA, SIMULATED
from quant_pipeline.trading.brokers.gateway import AlpacaGateway, Gateway, SimulatedGateway
from quant_pipeline.trading.execution_capability import ExecutionCapability


class _Desk(AbstractDataset[NoReturn, Gateway]):
    # Two processes must not send the orders of one account at the same time.
    _SINGLE_PROCESS = True

    capability: ClassVar[ExecutionCapability]
    """What the broker can execute; read before a run begins, so that an impossible price is refused at once."""

    def __init__(self, ledger: str, kill_switch: str, metadata: dict[str, Any] | None = None) -> None:
        self._ledger = ledger
        self._kill_switch = Path(kill_switch)
        self.metadata = metadata

    def save(self, data: NoReturn) -> None:
        """Refuse: a broker is asked, not overwritten."""
        raise DatasetError(f"{type(self).__name__} cannot be saved; orders are sent by the nodes of execution")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"ledger": LedgerEvents(self._ledger)._describe()["filepath"]}


class SimulatedDesk(_Desk):
    """The simulated broker.

    Parameters
    ----------
    ledger
        The ledger, as `quant_pipeline.datasets.ledger.LedgerEvents` takes it: a SQLite file or an SQLAlchemy URL.
    kill_switch
        File that stops every sender.
    folder
        Where the broker keeps the orders it took.
    metadata
        Ignored here; read by kedro-viz.
    """

    capability = SIMULATED

    def __init__(self, ledger: str, kill_switch: str, folder: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(ledger, kill_switch, metadata)
        self._folder = Path(folder)

    def load(self) -> Gateway:
        """Return the way to the broker."""
        return SimulatedGateway(self._ledger, self._kill_switch, self._folder)

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "folder": str(self._folder)}


class AlpacaDesk(_Desk):
    """An account at Alpaca.

    Parameters
    ----------
    ledger
        The ledger, as `quant_pipeline.datasets.ledger.LedgerEvents` takes it: a SQLite file or an SQLAlchemy URL.
    kill_switch
        File that stops every sender.
    parameters
        See `quant_pipeline.trading.brokers.alpaca.transport.AlpacaBrokerParameters`.
    credentials
        ``api_key`` and ``secret_key``.
    metadata
        Ignored here; read by kedro-viz.
    """

    capability = ALPACA

    def __init__(
        self,
        ledger: str,
        kill_switch: str,
        parameters: dict[str, Any],
        credentials: dict[str, str | None],
        metadata: dict[str, Any] | None = None,
    ) -> None:
        from quant_pipeline.trading.brokers.alpaca.transport import AlpacaBrokerParameters

        super().__init__(ledger, kill_switch, metadata)
        self._parameters = AlpacaBrokerParameters.model_validate(parameters)
        self._credentials = credentials

    def load(self) -> Gateway:
        """Return the way to the broker."""
        return AlpacaGateway(
            self._ledger,
            self._kill_switch,
            self._parameters,
            self._credentials.get("api_key") or "",
            self._credentials.get("secret_key") or "",
        )

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "kind": self._parameters.kind}
