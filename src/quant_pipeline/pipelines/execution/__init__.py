"""Execution: the recorded plan is judged, sent, followed to its end and compared with the broker."""

from quant_pipeline.pipelines.execution.pipeline import create_pipeline

__all__ = ["create_pipeline"]
