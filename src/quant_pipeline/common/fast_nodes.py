"""OmegaConf's trees of plain YAML, made and read without checking what cannot be wrong: a tenth of the time.

A command reads sixty files; OmegaConf validates each of their thousands of values a dozen times. A number or a text
without a reference has nothing to validate. References, missing values and everything unusual are left to OmegaConf.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import yaml
from kedro.config import omegaconf_config
from omegaconf import AnyNode, DictConfig, ListConfig, OmegaConf, _utils
from omegaconf.base import Container, ContainerMetadata, Metadata, Node
from omegaconf.basecontainer import BaseContainer
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

__all__ = ["FastOmegaConf", "read_nodes_fast"]

_KEYS = (str, int, float, bool)
_VALUES = (str, int, float, bool, type(None))


class FastOmegaConf(OmegaConf):
    """OmegaConf, of which ``load`` and ``to_container`` take short ways to the same results."""

    @staticmethod
    def load(file_: str | Path | IO[Any]) -> Any:
        """Parse YAML and return its tree, as `omegaconf.OmegaConf.load`."""
        if not hasattr(file_, "read"):
            return OmegaConf.load(file_)
        parsed = yaml.load(file_, Loader=_utils.get_yaml_loader())  # noqa: S506 - it is a safe one
        if isinstance(parsed, dict) and _is_plain(parsed):
            with suppress(OmegaConfBaseException):
                return _tree(parsed, None, None)
        return OmegaConf.create({} if parsed is None else parsed)

    @staticmethod
    def to_container(cfg: Any, *, resolve: bool = False, **options: Any) -> Any:
        """Return the values of a tree as tables and lists, as `omegaconf.OmegaConf.to_container`."""
        if options or not isinstance(cfg, DictConfig | ListConfig):
            return OmegaConf.to_container(cfg, resolve=resolve, **options)
        return _values(cfg, resolve)


def read_nodes_fast() -> None:
    """Let Kedro's loader of configurations read and resolve with `FastOmegaConf`; it has no setting for it."""
    vars(omegaconf_config)["OmegaConf"] = FastOmegaConf


def _is_plain(value: Any) -> bool:
    """Whether a tree holds nothing but tables, lists and simple values: OmegaConf refuses the rest, and says why."""
    if type(value) is dict:
        return all(type(key) in _KEYS and _is_plain(inner) for key, inner in value.items())
    if type(value) is list:
        return all(map(_is_plain, value))
    return type(value) in _VALUES


def _tree(value: Any, key: Any, parent: Any) -> Any:
    if type(value) is dict:
        node: Any = DictConfig.__new__(DictConfig)
        _begin(node, dict, key, parent, Any)
        node.__dict__["_content"] = {name: _tree(inner, name, node) for name, inner in value.items()}
    elif type(value) is list:
        node = ListConfig.__new__(ListConfig)
        _begin(node, list, key, parent, int)
        node.__dict__["_content"] = [_tree(inner, index, node) for index, inner in enumerate(value)]
    elif type(value) is str and "${" in value:
        node = AnyNode(value=value, key=key, parent=parent)
    else:
        node = AnyNode.__new__(AnyNode)
        Node.__init__(node, parent, Metadata(ref_type=Any, object_type=None, optional=True, key=key))
        node.__dict__["_val"] = value
    return node


def _begin(node: Any, kind: type, key: Any, parent: Any, key_type: Any) -> None:
    described = {"ref_type": Any, "object_type": kind, "optional": True, "key": key}
    Node.__init__(node, parent, ContainerMetadata(**described, key_type=key_type, element_type=Any))


def _values(tree: Any, resolve: bool) -> Any:
    content = tree.__dict__["_content"]
    if tree._metadata.object_type in (dict, None) and type(content) is dict:
        return {key: _value(tree, key, node, resolve) for key, node in content.items()}
    if type(content) is list:
        return [_value(tree, index, node, resolve) for index, node in enumerate(content)]
    return BaseContainer._to_content(tree, resolve=resolve, throw_on_missing=False)


def _value(tree: Any, key: Any, node: Any, resolve: bool) -> Any:
    if isinstance(node, Container):
        return _values(node, resolve)
    value = node._value()
    if not resolve or type(value) is not str or "${" not in value:
        return value
    try:
        node = node._dereference_node()
    except InterpolationResolutionError as error:
        tree._format_and_raise(key=key, value=None, cause=error)
    return _values(node, resolve) if isinstance(node, Container) else node._value()
