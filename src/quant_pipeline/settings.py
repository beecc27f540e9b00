"""Kedro's settings of the project; see ``docs/concepts/environments.md`` for what the environments mean."""

import sys

from quant_pipeline.configuration import ProjectConfigLoader, ProjectContext
from quant_pipeline.hooks import (
    DEFAULT_ENVIRONMENT,
    AccountGuardHooks,
    ErrorHooks,
    JsonLogHooks,
    LocalOverrideHooks,
    ModelRegistryHooks,
    ProgressHooks,
    SummaryHooks,
    TrackingHooks,
)


def latest_closed_session(calendar: str) -> str:
    """Resolve ``as_of`` of a real account: the last session of the exchange that has closed by now."""
    import pandas as pd

    from quant_pipeline.market.calendar import TradingCalendar

    now = pd.Timestamp.now("UTC")
    return f"{TradingCalendar.of(calendar, now - pd.Timedelta(days=30), now).latest_closed(now):%Y-%m-%d}"


if "kedro.framework.cli.cli" in sys.modules:
    from quant_pipeline.cli.postponed import postpone_plugins

    postpone_plugins()

# Hooks registered last act first: the guard of real accounts comes before everything else. An error ends its record
# before it is told.
HOOKS = (
    SummaryHooks(),
    ProgressHooks(),
    ModelRegistryHooks(),
    JsonLogHooks(),
    ErrorHooks(),
    TrackingHooks(),
    AccountGuardHooks(),
    LocalOverrideHooks(),
)
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-viz", "kedro-telemetry")

CONTEXT_CLASS = ProjectContext
CONFIG_LOADER_CLASS = ProjectConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": DEFAULT_ENVIRONMENT,
    # An environment that sets one key keeps the siblings of that key.
    "merge_strategy": {"parameters": "soft", "mlflow": "soft", "globals": "soft"},
    "custom_resolvers": {
        "latest_closed_session": latest_closed_session,
    },
}
