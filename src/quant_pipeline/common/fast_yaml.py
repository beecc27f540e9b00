"""OmegaConf's rules of YAML on the parser of libyaml, which reads a configuration in a fifth of the time."""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml
from omegaconf import _utils
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

__all__ = ["fast_loader", "own_loader", "read_yaml_fast"]

own_loader: Any = getattr(_utils.get_yaml_loader, "in_place_of", _utils.get_yaml_loader)
"""OmegaConf's own, also when this module is imported again in a process: Kedro's notebooks do so."""


@cache
def fast_loader() -> Any:
    """Return OmegaConf's loader class with the parser of libyaml below it.

    Everything that OmegaConf decides stays its own: which text is a number, and that a mapping may not repeat a key.

    Returns
    -------
    type
        A loader for `yaml.load`; OmegaConf's own, which is pure Python, where PyYAML was built without libyaml.
    """
    rules: Any = own_loader()
    if not yaml.__with_libyaml__:
        return rules

    class FastLoader(yaml.cyaml.CParser, rules):  # type: ignore[misc]
        def __init__(self, stream: Any) -> None:
            yaml.cyaml.CParser.__init__(self, stream)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

    return FastLoader


def read_yaml_fast() -> None:
    """Let OmegaConf, and so Kedro, parse with `fast_loader`; it has no setting for it."""
    fast_loader.in_place_of = own_loader  # type: ignore[attr-defined]
    _utils.get_yaml_loader = fast_loader
