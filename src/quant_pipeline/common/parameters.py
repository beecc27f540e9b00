"""Typed parameters: the base of every block of `conf/*/parameters*.yml`."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar, Final, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

Part = TypeVar("Part", bound=BaseModel)

LONGEST: Final = 60
"""Characters of a value that a message shows."""


class Parameters(BaseModel):
    """An immutable block of parameters in which a misspelt key is an error, not a silent default.

    Attributes
    ----------
    renamed
        Former names of keys to their present names: a former one is refused with the present one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    renamed: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _refuse_former_names(cls, data: Any) -> Any:
        former = [name for name in cls.renamed if isinstance(data, dict) and name in data]
        if former:
            raise ValueError("; ".join(f"'{name}' is called '{cls.renamed[name]}' now, rename it" for name in former))
        return data


def read_part(kind: type[Part], block: Mapping[str, Any]) -> Part:
    """Read a block by the model that another key of the parameters chooses.

    Raises
    ------
    ValidationError
        When the block does not fit. A key that the model does not have brings the keys that it has: `describe_faults`
        looks for them where the annotation of the block leads, and that is not the chosen model.
    """
    try:
        return kind.model_validate(block)
    except ValidationError as error:
        faults = [_with_known_keys(fault, kind) for fault in error.errors(include_url=False)]
        raise ValidationError.from_exception_data(error.title, faults) from None


def _with_known_keys(fault: Any, kind: type[BaseModel]) -> InitErrorDetails:
    details = InitErrorDetails(type=fault["type"], loc=fault["loc"], input=fault["input"], ctx=fault.get("ctx", {}))
    if fault["type"] == "extra_forbidden":
        known = _keys_at(kind, [str(part) for part in fault["loc"][:-1]])
        details["type"] = PydanticCustomError(fault["type"], fault["msg"], {"known": known})
    return details


def describe_faults(
    error: ValidationError, kind: Any = None, block: str = "", place_of: Callable[[str], str] | None = None
) -> str:
    """Return every key that is wrong, its value and what it may be, in one line.

    Parameters
    ----------
    error
        What pydantic found.
    kind
        The model that was validated; its keys are what a misspelt one is compared with.
    block
        Name of the block, with which every key begins.
    place_of
        Returns the file, or the option, that sets a key.
    """
    return "; ".join(_describe(fault, kind, block, place_of) for fault in error.errors(include_url=False))


def _describe(fault: Any, kind: Any, block: str, place_of: Callable[[str], str] | None) -> str:
    path = [str(part) for part in fault["loc"]]
    key = ".".join([block, *path] if block else path)
    # What is missing has to be added where what it belongs to is.
    setting = key.rpartition(".")[0] if fault["type"] == "missing" and "." in key else key
    named = f"`{key}` of {place_of(setting)}" if key and place_of else f"`{key}`" if key else "the whole"
    match fault["type"]:
        case "extra_forbidden":
            known = fault.get("ctx", {}).get("known") or _keys_at(kind, path[:-1])
            return f"nothing reads {named}{_hint(path[-1], known)}"
        case "missing":
            return f"{named} is missing"
        case "value_error":
            return f"{named}: {fault['msg'].removeprefix('Value error, ')}"
        case "model_type" | "dict_type":
            return f"{named} is {_shown(fault['input'])}; it should hold `key: value` lines"
    allowed = re.findall(r"'([^']*)'", fault.get("ctx", {}).get("expected", ""))
    message = fault["msg"].partition(", ")[0] if fault["type"].endswith("_parsing") else fault["msg"]
    wanted = message.replace("Input should", "it should", 1)
    return f"{named} is {_shown(fault['input'])}; {wanted}{_hint(str(fault['input']).lower(), allowed)}"


def _hint(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, known, n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _keys_at(kind: Any, path: Sequence[str]) -> list[str]:
    """Return the keys of the model to which a path leads; keys of mappings and places in lists lead to their values."""
    for part in path:
        model = _first_model(kind)
        field = model.model_fields.get(part) if model else None
        kind = field.annotation if field else kind
    model = _first_model(kind)
    return list(model.model_fields) if model else []


def _first_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_first_model, get_args(annotation))), None)
