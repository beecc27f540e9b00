"""Functions that resolve references of the configuration, ``${name:…}``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from omegaconf import OmegaConf

from quant_pipeline.project import backtest_folder, last_booked, market_files, signal_models, unresolved
from quant_pipeline.project.rhythm import by_rhythm

if TYPE_CHECKING:
    from quant_pipeline.project.configuration import ProjectConfigLoader


def register_resolvers(loader: ProjectConfigLoader) -> None:
    """Let the references that depend on a configuration ask this one: resolvers belong to the process.

    Parameters
    ----------
    loader
        The configuration that is about to be read.
    """
    market_files.look_again(loader)
    for name, resolve in _ASKING.items():
        OmegaConf.register_new_resolver(name, partial(resolve, loader), replace=True)


def latest_closed_session(calendar: str) -> str:
    """Resolve ``as_of`` of a real account: the last session of the exchange that has closed by now."""
    import pandas as pd

    from quant_pipeline.market.calendar import TradingCalendar

    now = pd.Timestamp.now("UTC")
    return f"{TradingCalendar.of(calendar, now - pd.Timedelta(days=30), now).latest_closed(now):%Y-%m-%d}"


_ASKING: Final[dict[str, Callable[..., Any]]] = {
    market_files.RESOLVER: market_files.fact_of,
    market_files.RULES: market_files.exchange_rules,
    unresolved.WHEN_FILES: unresolved.when_files,
    last_booked.RESOLVER: last_booked.last_booked_session,
    backtest_folder.RESOLVER: backtest_folder.backtest_folder,
    backtest_folder.SEARCH_RESOLVER: backtest_folder.search_folder,
    signal_models.RESOLVER: signal_models.evaluated_signal,
}
CUSTOM_RESOLVERS: Final[dict[str, Callable[..., Any]]] = {
    "latest_closed_session": latest_closed_session,
    "by_rhythm": by_rhythm,
}
"""References that need nothing of a configuration, by name; Kedro registers them."""
