"""Order generation: the fused score of today becomes the orders of the next session."""

from quant_pipeline.pipelines.order_generation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
