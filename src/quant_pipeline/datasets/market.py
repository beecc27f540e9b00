"""A market source as a dataset; it loads a `MarketData`, what was known at the close of ``as_of``."""

from dataclasses import replace
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset
from pydantic import ValidationError

from quant_pipeline.common.exceptions import ConfigurationError, MarketDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.common.parameters import describe_faults
from quant_pipeline.common.places import Place
from quant_pipeline.market.data import MarketData
from quant_pipeline.market.instrument_rows import number_instruments
from quant_pipeline.market.sources.source import MarketRequest, find_source


class Market(AbstractDataset[None, MarketData]):
    """A market, observed through one of the market sources.

    Parameters
    ----------
    source
        Name of a shipped source, see `market.sources.source`, or the dotted path of the record of another one.
    as_of
        Session at whose close the market is observed, ``YYYY-MM-DD``.
    parameters
        The source's own block.
    cache
        Folder in which the source may keep what it has read.
    credentials
        Keys, for a source that needs them.
    credentials_name
        What messages call the credentials.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(
        self,
        source: str,
        as_of: str,
        parameters: dict[str, Any] | None = None,
        cache: str | None = None,
        credentials: dict[str, str | None] | None = None,
        credentials_name: str = "none",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._name = source
        self._source = find_source(source)
        kind = self._source.parameters
        try:
            self._parameters = kind.model_validate(parameters or {})
        except ValidationError as error:
            raise ConfigurationError(
                f"market source '{source}': {describe_faults(error, kind)}. Correct `parameters` of `market_source` "
                "in the catalog of the environment"
            ) from error
        self._request = MarketRequest(
            as_of, Place.of(cache).path if cache else None, credentials or {}, credentials_name
        )
        self.metadata = metadata

    def load(self) -> MarketData:
        """Read the market, which says where it comes from."""
        market = self._source.read(self._parameters, self._request)
        require_names(market, self._name)
        return replace(market, source=self.origin)

    @property
    def origin(self) -> str:
        """What makes the bars: the source, and the server that it asks."""
        return self._source.origin_of(self._name, self._parameters)

    def save(self, data: None) -> None:
        """Refuse: a market is observed, not written."""
        raise NotImplementedError(f"market source '{self._name}' is read-only")

    def _describe(self) -> dict[str, Any]:
        return {"source": self._name, "as_of": self._request.as_of}


def require_names(market: MarketData, source: str) -> None:
    """Check the names of a market once, before they become folders, keys and columns.

    Raises
    ------
    MarketDataError
        When a name could not be that of a file or folder, or two differ by capital letters only.
    """
    # The package reads files of users in all their layouts, and is imported by no market that has none.
    from quant_pipeline.market.sources.files.instrument_names import case_twins, fault_of

    tables = (market.bars, market.instruments, market.corporate_actions)
    names = pd.Index(sorted({str(name) for table in tables for name in number_instruments(table)[1]}))
    faults = [f"{name[:40]!r} {fault}" for name in names if (fault := fault_of(name)) is not None]
    faults += [f"{' and '.join(twins)} differ by capital letters only" for twins in case_twins(names)]
    if faults:
        raise MarketDataError(
            f"market source '{source}' names instruments that cannot be kept: {first_of(faults, '; ')}. Rename them."
        )
