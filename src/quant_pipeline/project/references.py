"""What ``${…}`` in a configuration refers to: OmegaConf resolves the texts with references, and sees nothing else.

OmegaConf makes a node of every value and checks it a dozen times; a configuration has four thousand values, and a
hundred different texts with references. What is unusual, or refused, goes through OmegaConf as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from copy import deepcopy
from typing import Any, Final

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

__all__ = ["SIGN", "merge", "merged_and_resolved", "names_from_params", "require_plain", "select"]

SIGN: Final = "${"
"""What a text with references holds."""
_FIRST_WORD = re.compile(r"\$\{\s*([\w-]+)")
_DEPENDS_ON_PLACE = re.compile(r"\$\{\s*(?:[^\w\s]|oc\.(?:select|dict|deprecated|create))")
"""Names that are relative, computed or in brackets, and resolvers that take names."""
_SIMPLE = re.compile(r"\$\{[^{}\\]*\}")
"""A reference without another one within it."""
_TEXTS = "texts with references"


def merged_and_resolved(files: Sequence[dict[str, Any]], over: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Lay tables over one another and resolve their references, as OmegaConf does.

    Parameters
    ----------
    files
        Tables of plain values, which are left as they are.
    over
        Laid over all of them: what ``--params`` say.

    Raises
    ------
    OmegaConfBaseException
        When a reference leads nowhere.
    """
    table: dict[str, Any] = {}
    for layer in (*files, dict(over or {})):
        if _meets_other_kind(table, layer):
            return _by_omegaconf(OmegaConf.unsafe_merge(*map(OmegaConf.create, files), dict(over or {})))
        table = merge(table, layer)
    texts = sorted(set(_texts_in(table)))
    if any(map(_DEPENDS_ON_PLACE.search, texts)):
        return _by_omegaconf(table)
    try:
        found = _resolve(texts, table)
    except OmegaConfBaseException:
        # It says what is wrong with the name of the key.
        return _by_omegaconf(table)
    resolved: dict[str, Any] = _with_values(table, found)
    return resolved


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Lay one table over another, key by key where both hold tables; ``???`` says nothing, as in OmegaConf."""
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        elif value != "???" or key not in merged:
            merged[key] = value
    return merged


def select(table: Mapping[str, Any], name: str) -> Any:
    """Return the value to which a dotted name leads, also by way of references; None when there is none.

    A table or a list keeps the references within it.
    """
    found: Any = table
    for part in name.split("."):
        if isinstance(found, str) and SIGN in found:
            break
        found = found.get(part) if isinstance(found, Mapping) else None
    if not _refers(found):
        return None if found == "???" else found
    selected = OmegaConf.select(OmegaConf.create(dict(table)), name)
    return OmegaConf.to_container(selected) if OmegaConf.is_config(selected) else selected


def names_from_params(files: Iterable[Any]) -> set[str]:
    """Return the names that unresolved tables take from ``--params``."""
    return {name for file in files for name in re.findall(r"\$\{runtime_params: *([\w-]+)", str(file))}


def require_plain(parsed: Any) -> Any:
    """Return what a YAML file holds if a configuration may hold it.

    Raises
    ------
    OmegaConfBaseException
        When OmegaConf refuses it: a key that is no word, a value that is none of YAML's simple ones.
    """
    if parsed is None:
        return {}
    return parsed if _is_plain(parsed) else OmegaConf.to_container(OmegaConf.create(parsed))


def _is_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) in (str, int, float, bool) and _is_plain(inner) for key, inner in value.items())
    if type(value) is list:
        return all(map(_is_plain, value))
    return type(value) in (str, int, float, bool, type(None))


def _texts_in(value: Any) -> Iterator[str]:
    """Return the texts with references in a value, its tables and its lists."""
    if isinstance(value, str):
        if SIGN in value:
            yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts_in(inner)


def _refers(value: Any) -> bool:
    return next(_texts_in(value), None) is not None


def _resolve(texts: list[str], table: dict[str, Any]) -> dict[str, Any]:
    """Return what texts stand for in a table; a hundred paths begin with one reference, which is resolved once."""
    found = _shown_to_omegaconf({part for text in texts for part in _parts(text)}, table)
    others = {text for text in texts if not all(isinstance(found[part], str) for part in _parts(text))} - found.keys()
    found |= _shown_to_omegaconf(others, table)
    return found | {
        text: _SIMPLE.sub(lambda reference: found[reference[0]], text) for text in texts if text not in found
    }


def _parts(text: str) -> list[str]:
    """Return the references of a text, or the whole one where they are within one another, or in quotes."""
    return [text] if "\\" in text or SIGN in _SIMPLE.sub("", text) else _SIMPLE.findall(text)


def _shown_to_omegaconf(texts: Set[str], table: dict[str, Any]) -> dict[str, Any]:
    """Return what texts stand for in a table, of which OmegaConf sees only the keys that they lead to."""
    if not texts:
        return {}
    named = _named_by(texts, table)
    known = _by_omegaconf(named)
    if _refers(known):
        # A reference in quotes: resolved once more it would be one.
        known = named
    ordered = sorted(texts)
    tree = OmegaConf.create({**known, _TEXTS: ordered})
    return dict(zip(ordered, _by_omegaconf(tree[_TEXTS]), strict=True))


def _named_by(texts: Iterable[str], table: dict[str, Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    waiting = list(texts)
    while waiting:
        for name in _FIRST_WORD.findall(waiting.pop()):
            if name in table and name not in named:
                named[name] = table[name]
                waiting += _texts_in(table[name])
    return named


def _with_values(value: Any, found: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _with_values(inner, found) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_values(inner, found) for inner in value]
    return deepcopy(found[value]) if isinstance(value, str) and value in found else value


def _meets_other_kind(below: Any, above: Any) -> bool:
    """Whether a table or a list is laid over the other one, or over a text with references, which may lead to one."""
    if isinstance(above, dict) and isinstance(below, dict):
        return any(_meets_other_kind(below[key], above[key]) for key in above.keys() & below.keys())
    differ = isinstance(above, dict | list) and type(above) is not type(below)
    return differ and (isinstance(below, dict | list) or _refers(below))


def _by_omegaconf(tree: Any) -> Any:
    return OmegaConf.to_container(tree if OmegaConf.is_config(tree) else OmegaConf.create(tree), resolve=True)
