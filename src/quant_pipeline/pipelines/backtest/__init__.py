"""Backtest: what the strategy would have earned on the fused scores, under the rules of the account."""

from quant_pipeline.pipelines.backtest.pipeline import create_pipeline

__all__ = ["create_pipeline"]
