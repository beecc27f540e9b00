"""Kedro's settings of the project; see ``docs/concepts/environments.md`` for what the environments mean."""

from pathlib import Path

from quant_pipeline.hooks import (
    AccountGuardHooks,
    JsonLogHooks,
    ModelRegistryHooks,
    ModelTrackingHooks,
    SummaryHooks,
)

PROJECT_PATH = Path(__file__).resolve().parents[2]

# Hooks registered last act first: the guard of real accounts comes before everything else.
HOOKS = (SummaryHooks(), ModelTrackingHooks(), ModelRegistryHooks(), JsonLogHooks(), AccountGuardHooks())
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-viz", "kedro-telemetry")

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "sim",
    # An environment that sets one key keeps the siblings of that key.
    "merge_strategy": {"parameters": "soft", "mlflow": "soft", "globals": "soft"},
    "custom_resolvers": {"project_path": lambda path: str(PROJECT_PATH / path)},
}
