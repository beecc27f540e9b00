"""A service to ask."""

from tests.helpers.finished_project import commands, finished
from tests.helpers.http_service import service

__all__ = ["commands", "finished", "service"]
