"""Hyper-parameter search on the sessions before the test segment."""

from quant_pipeline.pipelines.tuning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
