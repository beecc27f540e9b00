"""Write ``docs/reference/parameters.md`` from the typed blocks of parameters; `make reference` runs this.

Every block is found where it is used: a node that takes ``params:<block>`` declares its type.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project
from kedro.pipeline.node import Node
from pydantic.fields import FieldInfo

from quant_pipeline.common.parameters import Parameters
from quant_pipeline.evaluation.comparison import PromotionGate
from quant_pipeline.factors.signals import KINDS
from quant_pipeline.factors.technical_signals import Signal
from quant_pipeline.live.parameters import LiveParameters, NotificationParameters
from quant_pipeline.models.algorithms import SHIPPED, HyperParameters, find_algorithm
from quant_pipeline.models.algorithms.networks import ReachingHyper
from quant_pipeline.service.parameters import ServiceParameters

PROJECT = Path(__file__).resolve().parents[1]
PAGE = PROJECT / "docs" / "reference" / "parameters.md"
HEAD = """# Parameters

Every block of `conf/<environment>/parameters*.yml` with its keys, their types, values and meaning. The value is that of
`conf/base`, or the default of the code where `conf/base` is silent; an environment may set another. `make reference`
writes this page from the code. A misspelt key or a value outside its range is refused when a run begins. One run
changes a value with `--params <block>.<key>=<value>`.
"""


def blocks() -> dict[str, type[Parameters]]:
    """Return the type of each block, by its name in the configuration."""
    # Read by commands, or with the configuration, not by nodes.
    found: dict[str, type[Parameters]] = {
        "promotion_gate": PromotionGate,
        "live": LiveParameters,
        "service": ServiceParameters,
        "notifications": NotificationParameters,
        "signals.<name>": Signal,
    }
    for pipeline in pipelines.values():
        for node in pipeline.nodes:
            found |= _blocks_of(node)
    return dict(sorted(found.items()))


def _blocks_of(node: Node) -> dict[str, type[Parameters]]:
    inputs = node._inputs or []
    signature = inspect.signature(node.func)
    bound = (
        signature.bind(**inputs)
        if isinstance(inputs, dict)
        else signature.bind(*([inputs] if isinstance(inputs, str) else inputs))
    )
    hints = typing.get_type_hints(getattr(node.func, "func", node.func))
    return {
        re.sub(r"^params:(models|feature_sets)\..+", r"params:\1.<name>", name).removeprefix("params:"): block
        for argument, name in bound.arguments.items()
        if isinstance(name, str) and name.startswith("params:")
        for block in _blocks_in(hints.get(argument))
    }


def _blocks_in(hint: Any) -> list[type[Parameters]]:
    """Return the types of parameters inside of an annotation, such as ``dict[str, Combination] | None``."""
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias):
        return [hint] if issubclass(hint, Parameters) else []
    return [block for part in typing.get_args(hint) for block in _blocks_in(part)]


def meanings(block: type) -> dict[str, str]:
    """Read the description of each key from the ``Attributes`` section of numpydoc docstrings, also of base classes."""
    found: dict[str, str] = {}
    for part in reversed(block.__mro__):
        found |= _attributes(inspect.cleandoc(part.__doc__ or ""))
    return found


def _attributes(text: str) -> dict[str, str]:
    section = re.search(r"^Attributes\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}$|\Z)", text, re.MULTILINE | re.DOTALL)
    found: dict[str, str] = {}
    for names, description in re.findall(
        r"^(\w[\w, ]*)\n((?:[ \t]+.*\n?|\n(?=[ \t]))+)", section[1] if section else "", re.MULTILINE
    ):
        found |= dict.fromkeys(names.split(", "), " ".join(description.split()))
    return found


def written(hint: Any) -> str:
    """Write an annotation the way a user of YAML reads it."""
    if hint is type(None) or hint is None:
        return "null"
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return written(parts[0])
    if origin is typing.Literal:
        return " · ".join(f"`{part}`" for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(written(part) for part in parts))
    if parts and origin is not None:
        return f"{_plain(origin)} of {', '.join(written(part) for part in parts if part is not Ellipsis)}"
    return _plain(hint)


def _plain(kind: Any) -> str:
    names = {
        "str": "text",
        "int": "integer",
        "float": "number",
        "bool": "true or false",
        "dict": "map",
        "tuple": "list",
        "Any": "anything",
    }
    name = getattr(kind, "__name__", str(kind))
    return names.get(name, name)


def limits(field: FieldInfo) -> str:
    """Write the range of a number."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    parts = [
        f"{sign} {getattr(rule, name)}"
        for rule in field.metadata
        for name, sign in signs.items()
        if getattr(rule, name, None) is not None
    ]
    return ", ".join(parts)


def rows(block: type[Parameters], configured: Any, prefix: str = "") -> Iterator[str]:
    """Write one row of the table for each key; keys of an inner block follow theirs."""
    described = meanings(block)
    values = configured if isinstance(configured, dict) else {}
    computed = {"window"} if issubclass(block, ReachingHyper) else set()
    for name, field in block.model_fields.items():
        if name in HyperParameters.model_fields and issubclass(block, HyperParameters):
            continue  # The specification sets it.
        inner = _blocks_in(field.annotation)
        kind = "block" if inner else ", ".join(part for part in (written(field.annotation), limits(field)) if part)
        yield (
            "| "
            + " | ".join(
                _cell(part)
                for part in (
                    f"`{prefix}{name}`",
                    kind,
                    "follows from the size" if name in computed else _value(field, values.get(name)),
                    described.get(name) or _summary(block, field),
                )
            )
            + " |"
        )
        for each in inner:
            nested = typing.get_origin(field.annotation) in (dict, tuple, list)
            yield from rows(each, None if nested else values.get(name), f"{prefix}{name}.{'<…>.' if nested else ''}")


def _summary(block: type, field: FieldInfo) -> str:
    """Return what a block is for, as the meaning of the key that chooses it."""
    chooses = len(typing.get_args(field.annotation)) == 1
    return (inspect.getdoc(block) or "").split("\n\n")[0].replace("\n", " ") if chooses else ""


def _value(field: FieldInfo, configured: Any) -> str:
    if configured is not None:
        return "" if isinstance(configured, dict) else f"`{configured}`"
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Parameters):
        return ""
    return f"`{value}`" if value is not None else "null"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def page() -> str:
    """Return the whole page."""
    parts, configured = [HEAD], {}
    for file in sorted((PROJECT / "conf" / "base").glob("parameters*.yml")):
        configured |= yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    parts.append(" · ".join(f"[{name}](#{re.sub(r'[^a-z_-]', '', name)})" for name in blocks()) + "\n")
    for name, block in blocks().items():
        summary = (inspect.getdoc(block) or "").split("\n\n")[0].replace("\n", " ")
        parts.append(
            "\n".join(
                [
                    f"## {name}",
                    "",
                    summary,
                    "",
                    "| key | type | value | meaning |",
                    "|---|---|---|---|",
                    *rows(block, configured.get(name)),
                    "",
                ]
            )
        )
        if name == "models.<name>":
            parts += map(_algorithm, SHIPPED)
        if name == "signals.<name>":
            parts += [_signal(kind, configured["signals"].get(kind)) for kind in KINDS]
    return "\n".join(parts)


def _algorithm(name: str) -> str:
    """Write the hyper-parameters of a shipped algorithm."""
    block = find_algorithm(name).hyper
    table = ["| key | type | default | meaning |", "|---|---|---|---|", *rows(block, None)]
    return "\n".join([f"### hyper of {name}", "", (inspect.getdoc(block) or "").partition("\n")[0], "", *table, ""])


def _signal(name: str, configured: Any) -> str:
    """Write the parameters of a kind of signals."""
    block = KINDS[name]
    own = [row for row in rows(block, configured) if row.split("`")[1] not in Signal.model_fields]
    summary = (inspect.getdoc(block) or "").partition("\n")[0]
    return "\n".join(
        [f"### signal {name}", "", summary, "", "| key | type | value | meaning |", "|---|---|---|---|", *own, ""]
    )


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


bootstrap_project(PROJECT)
if __name__ == "__main__":
    main()
