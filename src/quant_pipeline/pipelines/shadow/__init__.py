"""Shadow: every session of the account replayed by the backtest, and the cause of every difference."""

from quant_pipeline.pipelines.shadow.pipeline import create_pipeline

__all__ = ["create_pipeline"]
