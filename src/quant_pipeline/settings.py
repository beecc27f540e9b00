"""Kedro's settings of the project; see ``docs/concepts/environments.md`` for what the environments mean."""

import sys

from quant_pipeline.common.collection import collect_rarely
from quant_pipeline.common.interruption import end_on_interrupt, is_command
from quant_pipeline.common.openmp import let_waiting_threads_sleep

if is_command():
    # Before the imports that take long.
    end_on_interrupt()
    collect_rarely()
    let_waiting_threads_sleep()

from quant_pipeline.pipelines.readiness import ReadinessHooks
from quant_pipeline.pipelines.results import ResultHooks
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader
from quant_pipeline.project.context import ProjectContext
from quant_pipeline.project.hooks import (
    LEFT_OUT,
    AccountGuardHooks,
    AllocationHooks,
    ClusterHooks,
    CollectionHooks,
    ErrorHooks,
    JsonLogHooks,
    KernelHooks,
    LocalOverrideHooks,
    LogConfigurationHooks,
    MarketSourceHooks,
    ModelRegistryHooks,
    ProgressHooks,
    RunStatusHooks,
    StorageHooks,
    SummaryHooks,
    TakenName,
    TrackingHooks,
)

if "kedro.framework.cli.cli" in sys.modules:
    from quant_pipeline.cli.postponed import postpone_plugins

    postpone_plugins()

# Hooks registered last act first: the guard of real accounts comes before everything else. An error ends its record
# before it is reported.
HOOKS = (
    KernelHooks(),
    AllocationHooks(),
    CollectionHooks(),
    ResultHooks(),
    SummaryHooks(),
    RunStatusHooks(),
    ProgressHooks(),
    ModelRegistryHooks(),
    JsonLogHooks(),
    ErrorHooks(),
    TrackingHooks(),
    ClusterHooks(),
    StorageHooks(),
    ReadinessHooks(),
    MarketSourceHooks(),
    AccountGuardHooks(),
    LocalOverrideHooks(),
    LogConfigurationHooks(),
    *map(TakenName, LEFT_OUT),
)
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-viz", "kedro-telemetry")

CONTEXT_CLASS = ProjectContext
CONFIG_LOADER_CLASS = ProjectConfigLoader
CONFIG_LOADER_ARGS = LOADER_OPTIONS
