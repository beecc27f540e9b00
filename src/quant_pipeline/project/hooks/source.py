"""The source of a market: bars of two sources, or of two servers, never meet in one folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from quant_pipeline.common.environments import DEFAULT_ENVIRONMENT
from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.json_files import parse_object

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol

MARKET, BARS = "market_source", "bars"


class MarketSourceHooks:
    """Refuse to run on bars that another source has made than the one that the environment reads.

    What lies beside them, panels, models and scores, comes from them.
    """

    def __init__(self) -> None:
        self._context: KedroContext | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the environment is."""
        self._context = context

    @hook_impl
    def before_pipeline_run(self, catalog: CatalogProtocol[Any, Any]) -> None:
        """Compare what the bars in place say with what would be read.

        Raises
        ------
        MarketDataError
            When they come from different sources; the message names both and the remedy.
        """
        from quant_pipeline.datasets.market import Market

        bars = catalog.get(BARS)
        made_by = "" if bars is None else _source_in(bars)
        market = catalog.get(MARKET) if made_by else None
        if not isinstance(market, Market) or market.origin == made_by or self._context is None:
            return
        environment = self._context.env or DEFAULT_ENVIRONMENT
        folder = self._context.config_loader["globals"]["paths"]["market"]
        raise MarketDataError(
            f"{folder} holds bars of {made_by}, and models trained on them; environment '{environment}' reads "
            f"{market.origin}. Name another folder as `paths.market` in conf/{environment}/globals.yml, or move "
            f"{folder} away."
        )


def _source_in(table: Any) -> str:
    """Read what the Parquet file of a table says made it, without its rows; empty when it is not there or does not."""
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import read_schema

    from quant_pipeline.market.data import SOURCE

    if (files := getattr(table, "_fs", None)) is None:
        return ""
    try:
        with files.open(str(table._filepath), "rb") as file:
            notes = read_schema(file).metadata or {}
        return str(parse_object(notes.get(b"PANDAS_ATTRS", b"{}")).get(SOURCE, ""))
    except (OSError, ArrowInvalid, ValueError):
        # What reads the table says what is wrong with it.
        return ""
