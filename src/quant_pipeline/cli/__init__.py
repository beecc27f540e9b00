"""Commands: `kedro account`, `kedro run` and all others; each module is named for its command.

Kedro takes ``cli`` and ``run`` from here. They are made when Kedro asks: ``quant-pipeline account`` needs nothing of
Kedro's command line and does not wait for it.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """Make Kedro's group of commands, and its command ``run``."""
    if name not in ("cli", "run"):
        raise AttributeError(name)
    from quant_pipeline.cli import kedro_commands

    return getattr(kedro_commands, name)
