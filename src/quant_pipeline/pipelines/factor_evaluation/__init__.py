"""Factor evaluation: how well factors order the returns that follow, and whether they say anything new."""

from quant_pipeline.pipelines.factor_evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
