"""Ensemble: scores of several models become one, with weights known before they are used."""

from quant_pipeline.pipelines.ensemble.pipeline import create_latest_pipeline, create_pipeline

__all__ = ["create_latest_pipeline", "create_pipeline"]
