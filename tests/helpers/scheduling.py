"""Which tests one worker takes together: what they share is made once, and not once in every worker."""

from xdist.scheduler import LoadFileScheduling

TOGETHER = ("tests/pipelines/",)
"""Folders whose tests share what takes long to make: a run of the whole path in memory."""


class FolderScheduling(LoadFileScheduling):
    """Gives the tests of such a folder to one worker, and those of every other file to the next that is free."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((folder for folder in TOGETHER if file.startswith(folder)), file)
