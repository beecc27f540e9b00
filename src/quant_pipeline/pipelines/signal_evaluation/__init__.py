"""Evaluation of a technical signal: what it knows of returns, and what trading on it would have earned."""

from quant_pipeline.pipelines.signal_evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
