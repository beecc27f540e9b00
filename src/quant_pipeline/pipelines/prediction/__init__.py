"""Prediction: the stored bundles score the newest session; nothing is fitted here."""

from quant_pipeline.pipelines.prediction.pipeline import create_pipeline

__all__ = ["create_pipeline"]
