"""Training: one namespace per registered model, from features to a verified bundle and its out-of-sample scores."""

from quant_pipeline.pipelines.training.pipeline import create_continuation_pipeline, create_pipeline

__all__ = ["create_continuation_pipeline", "create_pipeline"]
