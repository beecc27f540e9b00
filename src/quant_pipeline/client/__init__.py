"""A client of the HTTP service for programs and notebooks: tables come as pandas frames, errors with their remedy."""

from quant_pipeline.client.client import Client, Job, ServiceError

__all__ = ["Client", "Job", "ServiceError"]
