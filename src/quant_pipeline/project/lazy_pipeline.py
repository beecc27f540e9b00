"""A pipeline that is made when something asks for what is in it.

Kedro makes every registered pipeline before it runs one of them, or lists their names. Making one imports its nodes and
everything that these compute with, so a command would wait for the libraries of all other stages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kedro.pipeline import Pipeline


class LazyPipeline(Pipeline):
    """A pipeline that makes itself at the first look into it.

    Parameters
    ----------
    make
        Makes the pipeline; called at most once.
    """

    def __init__(self, make: Callable[[], Pipeline]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> Any:
        """Make the pipeline, and give what was asked for; Python calls this only for what is not there yet."""
        # Copying and pickling look for special methods before there is anything at all.
        if name.startswith("__") or "_make" not in self.__dict__:
            raise AttributeError(name)
        made = self._make()
        # Only now: what cannot be made, as a library is missing, says so again at the next look.
        del self._make
        self.__dict__.update(made.__dict__)
        return getattr(self, name)
