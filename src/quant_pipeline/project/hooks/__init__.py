"""What happens around a run: the guard of real accounts, the model registry, locks, tracking, logs and the summary."""

from quant_pipeline.project.hooks.allocation import AllocationHooks
from quant_pipeline.project.hooks.cluster import ClusterHooks
from quant_pipeline.project.hooks.collection import CollectionHooks
from quant_pipeline.project.hooks.configuration import LocalOverrideHooks, LogConfigurationHooks, ModelRegistryHooks
from quant_pipeline.project.hooks.errors import ErrorHooks
from quant_pipeline.project.hooks.guard import AccountGuardHooks
from quant_pipeline.project.hooks.kernels import KernelHooks
from quant_pipeline.project.hooks.lineage import RunStatusHooks
from quant_pipeline.project.hooks.narration import JsonLogHooks, ProgressHooks, SummaryHooks
from quant_pipeline.project.hooks.plugins import LEFT_OUT, TakenName
from quant_pipeline.project.hooks.source import MarketSourceHooks
from quant_pipeline.project.hooks.storage import StorageHooks
from quant_pipeline.project.hooks.tracking import TrackingHooks

__all__ = [
    "LEFT_OUT",
    "AccountGuardHooks",
    "AllocationHooks",
    "ClusterHooks",
    "CollectionHooks",
    "ErrorHooks",
    "JsonLogHooks",
    "KernelHooks",
    "LocalOverrideHooks",
    "LogConfigurationHooks",
    "MarketSourceHooks",
    "ModelRegistryHooks",
    "ProgressHooks",
    "RunStatusHooks",
    "StorageHooks",
    "SummaryHooks",
    "TakenName",
    "TrackingHooks",
]
