"""The kinds of datasets that this project has of its own."""

import inspect
from importlib import import_module
from pkgutil import iter_modules

from kedro.io import AbstractDataset

import quant_pipeline.datasets

_MODULES = [
    import_module(f"quant_pipeline.datasets.{module.name}") for module in iter_modules(quant_pipeline.datasets.__path__)
]
KINDS = sorted(
    {
        kind
        for module in _MODULES
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, AbstractDataset) and kind.__module__ == module.__name__
    },
    key=lambda kind: kind.__name__,
)
