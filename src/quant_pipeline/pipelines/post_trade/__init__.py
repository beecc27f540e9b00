"""Post-trade: what really happened becomes events of the ledger, and from them holdings, cash and net asset value."""

from quant_pipeline.pipelines.post_trade.pipeline import create_pipeline

__all__ = ["create_pipeline"]
