"""Kedro's settings of the project; see ``docs/concepts/environments.md`` for what the environments mean."""

from pathlib import Path

from quant_pipeline.configuration import ProjectConfigLoader, ProjectContext
from quant_pipeline.hooks import (
    DEFAULT_ENVIRONMENT,
    AccountGuardHooks,
    ErrorHooks,
    FactorTrackingHooks,
    JsonLogHooks,
    ModelRegistryHooks,
    ModelTrackingHooks,
    ProgressHooks,
    SearchTrackingHooks,
    SummaryHooks,
)


def latest_closed_session(calendar: str) -> str:
    """Resolve ``as_of`` of a real account: the last session of the exchange that has closed by now."""
    import pandas as pd

    from quant_pipeline.market.calendar import TradingCalendar

    now = pd.Timestamp.now("UTC")
    return f"{TradingCalendar.of(calendar, now - pd.Timedelta(days=30), now).latest_closed(now):%Y-%m-%d}"


PROJECT_PATH = Path(__file__).absolute().parents[2]

# Hooks registered last act first: the guard of real accounts comes before everything else.
HOOKS = (
    SummaryHooks(),
    ProgressHooks(),
    ModelTrackingHooks(),
    SearchTrackingHooks(),
    FactorTrackingHooks(),
    ModelRegistryHooks(),
    JsonLogHooks(),
    ErrorHooks(),
    AccountGuardHooks(),
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
        "project_path": lambda path: str(PROJECT_PATH / path),
        "latest_closed_session": latest_closed_session,
    },
}
