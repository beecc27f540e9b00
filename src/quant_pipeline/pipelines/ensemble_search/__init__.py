"""Search: exact backtests of combinations of models, and how much of the best one is luck."""

from quant_pipeline.pipelines.ensemble_search.pipeline import create_pipeline

__all__ = ["create_pipeline"]
