"""A run gives memory back before each of its nodes."""

import pytest
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import node, pipeline
from kedro.runner import SequentialRunner

from quant_pipeline import settings
from quant_pipeline.common import allocation
from quant_pipeline.common.allocation import keep_large_blocks
from quant_pipeline.project.hooks import AllocationHooks
from tests.helpers.c_library import take_library


@pytest.mark.parametrize(("free", "times"), [(allocation.MOST_KEPT + 1, 2), (allocation.MOST_KEPT, 0)])
def test_hooks_of_the_project_give_back_what_lies_free_before_each_node(monkeypatch, free, times):
    asked = take_library(monkeypatch, free)
    keep_large_blocks()
    manager = _create_hook_manager()
    for hook in settings.HOOKS:
        if isinstance(hook, AllocationHooks):
            manager.register(hook)
    steps = pipeline([node(lambda: 1, None, "one"), node(lambda one: one, "one", "other")])
    SequentialRunner().run(steps, DataCatalog(), manager)
    assert asked[2:] == ["malloc_trim"] * times
