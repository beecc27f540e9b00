"""Compare the models with each other and with what they were trained on."""

from quant_pipeline.pipelines.model_report.pipeline import create_pipeline

__all__ = ["create_pipeline"]
