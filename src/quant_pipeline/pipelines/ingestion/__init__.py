"""Ingestion: as-traded bars and corporate actions in, checked and adjusted, with the universe of every session."""

from quant_pipeline.pipelines.ingestion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
