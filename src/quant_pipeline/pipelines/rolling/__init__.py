"""Walk forward: retrain on a calendar, score the stretch that follows, join the scores; and cross-validation."""

from quant_pipeline.pipelines.rolling.pipeline import create_cross_validation_pipeline, create_pipeline

__all__ = ["create_cross_validation_pipeline", "create_pipeline"]
