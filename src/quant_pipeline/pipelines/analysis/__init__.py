"""Analysis: what models, execution, portfolio and risk factors have done to an account, every number with its band."""

from quant_pipeline.pipelines.analysis.pipeline import create_pipeline

__all__ = ["create_pipeline"]
