"""Ensemble: scores of several models become one, with weights known before they are used.

Other stages read its parameters, so its nodes and what they compute with are imported when its pipeline is made.
"""

from kedro.pipeline import Pipeline


def create_pipeline() -> Pipeline:
    """Make the pipeline, see `pipelines.ensemble.pipeline`."""
    from quant_pipeline.pipelines.ensemble import pipeline

    return pipeline.create_pipeline()


def create_latest_pipeline() -> Pipeline:
    """Make the pipeline of the newest session, see `pipelines.ensemble.pipeline`."""
    from quant_pipeline.pipelines.ensemble import pipeline

    return pipeline.create_latest_pipeline()
