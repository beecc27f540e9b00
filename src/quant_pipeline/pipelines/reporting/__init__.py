"""Reporting: finished tables become figures, one page, and the summary at the end of a run."""

from quant_pipeline.pipelines.reporting.pipeline import create_pipeline

__all__ = ["create_pipeline"]
