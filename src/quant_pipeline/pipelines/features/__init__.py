"""Features: factor panels and labels from adjusted bars."""

from quant_pipeline.pipelines.features.pipeline import create_pipeline

__all__ = ["create_pipeline"]
