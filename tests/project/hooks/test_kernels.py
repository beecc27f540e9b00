"""A run begins to compile in a second process where it trades after other stages."""

import os
import sys

import pytest
from kedro.pipeline import Node, Pipeline

from quant_pipeline.common import compilation_beside
from quant_pipeline.project.hooks import KernelHooks


@pytest.mark.parametrize(("namespace", "starts"), [("backtest", True), ("training.ridge", False), (None, False)])
def test_only_runs_of_several_stages_that_trade_start_a_second_process(
    tmp_path, monkeypatch, caplog, namespace, starts
):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(compilation_beside, "_awaited", set())
    monkeypatch.setattr(compilation_beside, "_command", lambda part: [sys.executable, "-c", ""])
    caplog.set_level("INFO")
    KernelHooks().before_pipeline_run(Pipeline([Node(lambda: 1, None, "out", name="node", namespace=namespace)]))
    assert ("in a second process" in caplog.text) == starts
