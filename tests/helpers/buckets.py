"""A bucket, in the memory of the test process or at a server, seen from one machine after another."""

import itertools
from contextlib import suppress

import fsspec

from quant_pipeline.common.places import MIRROR

_numbers = itertools.count()


class Bucket:
    """An empty bucket; its copies on this machine lie below a temporary folder."""

    def __init__(self, folder, monkeypatch, protocol="memory"):
        self.address = f"{protocol}://{'' if protocol == 's3' else '/'}bucket-{next(_numbers)}"
        self._folder, self._patch, self._machines = folder, monkeypatch, itertools.count()
        self.files.mkdir(self.address)
        self.another_machine()

    def another_machine(self):
        """Go on where nothing has been copied yet."""
        self._patch.setenv(MIRROR, str(self._folder / f"machine-{next(self._machines)}"))

    @property
    def files(self):
        protocol, _, _ = self.address.partition("://")
        return fsspec.filesystem(protocol, use_listings_cache=False)

    def names(self):
        """Return the names in the bucket."""
        root = self.files._strip_protocol(self.address)
        return sorted(path.removeprefix(root).lstrip("/") for path in self.files.find(root))

    def write(self, name, content):
        self.files.pipe_file(f"{self.address}/{name}", content)

    def read(self, name):
        return self.files.cat_file(f"{self.address}/{name}")

    def remove(self):
        with suppress(FileNotFoundError):
            self.files.rm(self.address, recursive=True)
