"""Rank the universe of a session by every model and combination, for people and programs to receive."""

from quant_pipeline.pipelines.ranking.pipeline import create_pipeline

__all__ = ["create_pipeline"]
