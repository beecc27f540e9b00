"""A service to ask."""

from tests.service.conftest import commands, finished, service

__all__ = ["commands", "finished", "service"]
