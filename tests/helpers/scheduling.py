"""Which tests one worker takes together: what they share is made once, and not once in every worker."""

from xdist.scheduler import LoadFileScheduling

TOGETHER = ("tests/cli/", "tests/pipelines/")
"""Folders whose tests share what takes long to make: a warm process for commands, a run of the whole path."""
APART = ("tests/cli/test_killed_runs.py",)
"""Files of these folders that share nothing, and are long where the slow tests run too."""


class FolderScheduling(LoadFileScheduling):
    """Gives the tests of such a folder to one worker, and those of every other file to the next that is free."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        if file in APART:
            return file
        return next((folder for folder in TOGETHER if file.startswith(folder)), file)
