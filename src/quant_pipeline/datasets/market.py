"""Market sources as datasets: each loads a ``MarketData``, what was known at the close of ``as_of``."""

from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset

from quant_pipeline.market.data import MarketData
from quant_pipeline.market.sources.files import FilesMarketParameters, read_market_files
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market


class _MarketSource(AbstractDataset[None, MarketData]):
    """What the sources share: they can be read, not written."""

    def save(self, data: None) -> None:
        """Refuse: a market is observed, not written."""
        raise NotImplementedError(f"{type(self).__name__} is read-only")


class SimulatedMarket(_MarketSource):
    """The embedded market.

    Parameters
    ----------
    as_of
        Session at whose close the market is observed, ``YYYY-MM-DD``.
    parameters
        Fields of `SimulatedMarketParameters`.
    """

    def __init__(
        self, as_of: str, parameters: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        self._as_of = as_of
        self._parameters = SimulatedMarketParameters.model_validate(parameters or {})
        self.metadata = metadata

    def load(self) -> MarketData:
        """Generate the market and cut it at ``as_of``."""
        return generate_market(self._parameters).as_of(pd.Timestamp(self._as_of))

    def _describe(self) -> dict[str, Any]:
        return {"as_of": self._as_of, "parameters": self._parameters.model_dump()}


class FilesMarket(_MarketSource):
    """Bars, corporate actions and securities from files of the user.

    Parameters
    ----------
    folder
        Where the files lie.
    as_of
        Session at whose close the market is observed, ``YYYY-MM-DD``.
    cache
        Folder for parsed files, so that only changed files are read again.
    parameters
        Fields of `FilesMarketParameters` other than the folder.
    """

    def __init__(
        self,
        folder: str,
        as_of: str,
        cache: str,
        parameters: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._folder = Path(folder)
        self._as_of = as_of
        self._cache = Path(cache)
        self._parameters = FilesMarketParameters.model_validate(parameters or {})
        self.metadata = metadata

    def load(self) -> MarketData:
        """Read the files and cut them at ``as_of``."""
        return read_market_files(self._folder, self._parameters, as_of=self._as_of, cache_folder=self._cache)

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self._folder), "as_of": self._as_of}


class AlpacaMarket(_MarketSource):
    """Bars and corporate actions from Alpaca.

    Parameters
    ----------
    as_of
        Session at whose close the market is observed, ``YYYY-MM-DD``.
    parameters
        Fields of `AlpacaMarketParameters`.
    credentials
        ``api_key`` and ``secret_key``.
    credentials_name
        What the messages call the credentials.
    url
        A loopback address, for rehearsals.
    """

    def __init__(
        self,
        as_of: str,
        parameters: dict[str, Any],
        credentials: dict[str, str | None],
        credentials_name: str = "alpaca_paper",
        url: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        # Only an account that reads from Alpaca waits for its client library.
        from quant_pipeline.market.sources.alpaca import AlpacaAccess, AlpacaMarketParameters

        self._as_of = as_of
        self._parameters = AlpacaMarketParameters.model_validate(parameters)
        self._access = AlpacaAccess(
            credentials.get("api_key") or "", credentials.get("secret_key") or "", credentials_name, url
        )
        self.metadata = metadata

    def load(self) -> MarketData:
        """Ask Alpaca."""
        from quant_pipeline.market.sources.alpaca import read_alpaca_market

        return read_alpaca_market(self._parameters, self._as_of, self._access)

    def _describe(self) -> dict[str, Any]:
        return {"as_of": self._as_of, "symbols": len(self._parameters.symbols)}
