"""Kernels of a first run: compiled by a second process while the run reads its market."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kedro.framework.hooks import hook_impl

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline

STAGES: Final = ("backtest", "post_trade", "shadow", "order_generation")
"""Stages that trade, and come after those of the market and of the models."""


class KernelHooks:
    """Let a run of the whole path, or of a day, compile what it trades with beside its first stages.

    A single stage needs its kernels at once, and compiles only those that it needs.
    """

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Start the second process, unless everything is kept."""
        from quant_pipeline.common.compilation_beside import TRADING, compile_beside

        if any((node.namespace or "").split(".")[0] in STAGES for node in pipeline.nodes):
            compile_beside(TRADING)
