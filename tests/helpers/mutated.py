"""A pytest plugin that changes one line of one module as it is imported: ``-p tests.helpers.mutated``.

The variable ``MUTATION`` holds module, text and replacement as JSON. Sources and their bytecode stay as they are.
"""

import importlib.abc
import importlib.machinery
import json
import os
import sys

MODULE, BEFORE, AFTER = json.loads(os.environ["MUTATION"])


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, name):
        source = self.get_data(self.get_filename(name)).decode()
        assert source.count(BEFORE) == 1, f"{MODULE} has {source.count(BEFORE)} times '{BEFORE}'"
        return compile(source.replace(BEFORE, AFTER), self.get_filename(name), "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        spec.loader = _Loader(name, spec.origin)
        return spec


sys.meta_path.insert(0, _Finder())
