"""A check: our Qlib-compatible backtest against Qlib's own, on the scores and the market of the account."""

from quant_pipeline.pipelines.qlib_comparison.pipeline import create_pipeline

__all__ = ["create_pipeline"]
