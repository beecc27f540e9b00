"""Typed parameters: the base of every block of `conf/*/parameters*.yml`."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from quant_pipeline.common.listing import first_of
from quant_pipeline.common.places import require_local

Part = TypeVar("Part", bound=BaseModel)

LONGEST: Final = 60
"""Characters of a value that a message shows."""
OWN_FAULTS: Final = ("renamed", "number_type")
"""Types of faults that pydantic does not know."""
_NUMBERS: Final = frozenset({int, float, Decimal})


def _on_this_machine(address: Any, info: ValidationInfo) -> Any:
    """Refuse an address elsewhere, which `pathlib.Path` would take for a folder of the working directory."""
    return require_local(address, f"`{info.field_name}`") if isinstance(address, str) else address


LocalPath = Annotated[Path, BeforeValidator(_on_this_machine)]
"""A path of this machine, as a parameter, which may begin with ``file://`` or ``~``.

The address of a bucket or database is a `ConfigurationError`.
"""


class Parameters(BaseModel):
    """An immutable block of parameters in which a misspelt key is an error, not a silent default.

    A number is finite, and ``true`` is no 1: YAML reads ``yes`` and ``on`` as true. Limits are called ``max_…`` and
    ``min_…`` in every block; the long forms of earlier versions are former names.

    Attributes
    ----------
    renamed
        Former names of keys to their present names: a former one is refused with the present one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    renamed: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _refuse_former_names(cls, data: Any) -> Any:
        former = cls._former_names(data) if isinstance(data, dict) else {}
        if former:
            written = "; ".join(f"'{name}' is called '{now}' now, rename it" for name, now in former.items())
            raise PydanticCustomError("renamed", "{written}", {"written": written, "former": former})
        return data

    @model_validator(mode="before")
    @classmethod
    def _refuse_yes_and_no_as_numbers(cls, data: Any) -> Any:
        # Not a validator of fields, which those that choose a block by their value may not have.
        given = data.items() if isinstance(data, dict) else ()
        wrong = {key: value for key, value in given if _holds_bool(value) and _is_number(cls, str(key))}
        if wrong:
            kind = PydanticCustomError("number_type", "Input should be a number, not true or false")
            faults = [InitErrorDetails(type=kind, loc=(key,), input=value) for key, value in wrong.items()]
            raise ValidationError.from_exception_data(cls.__name__, faults)
        return data

    @classmethod
    def _former_names(cls, data: Mapping[Any, Any]) -> dict[str, str]:
        """Return the former names among the keys, with their present ones."""
        limits = {name: re.sub(r"^(max|min)imum_", r"\1_", name) for name in map(str, data)}
        former = {name: now for name, now in limits.items() if now != name and now in cls.model_fields}
        return former | {name: now for name, now in cls.renamed.items() if name in data}


def _holds_bool(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, list | tuple) and any(map(_holds_bool, value)))


@cache
def _is_number(kind: type[BaseModel], field: str) -> bool:
    """Return whether a field takes numbers, or lists of them, and neither truth values nor anything."""
    found = _parts_of(kind.model_fields[field].annotation) if field in kind.model_fields else frozenset()
    return bool(found & _NUMBERS) and not found & {bool, Any, object}


def _parts_of(annotation: Any) -> frozenset[Any]:
    inner = get_args(annotation)
    return frozenset().union(*map(_parts_of, inner)) if inner else frozenset({annotation})


def as_configured(value: Any) -> Any:
    """Return a parameter as the configuration wrote it.

    Kedro gives a block as a model or as a plain mapping, depending on whether the pipelines of this very run need it;
    defaults that a model adds, and ``1.0`` for ``1``, would make the hash depend on that.
    """
    if isinstance(value, BaseModel):
        return as_configured(value.model_dump(mode="json", exclude_unset=True))
    if isinstance(value, Mapping):
        return {str(key): as_configured(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_configured(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, str | int | float | None) else str(value)


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


def read_chosen_part(
    given: Any, read: Callable[[Any], Any], base: type[Part], chosen: type[Part] | None, **own: Any
) -> Any:
    """Read a block within another one, whose model another key there chooses; for validators that wrap a field.

    Parameters
    ----------
    given
        What the field is given: a mapping, a model that has been read, or nothing.
    read
        Reads the field by its annotation, and reports what is no block at all.
    base
        Class of all such models.
    chosen
        The model that is chosen; None where the key that chooses it is wrong, so that there is nothing to read by.
    **own
        Keys that the model has and the block does not state.
    """
    if chosen is None:
        return base()
    block = given.model_dump() if isinstance(given, base) else given or {}
    return keep_as_given(read_part(chosen, {**block, **own}), block) if isinstance(block, dict) else read(given)


def keep_as_given(part: Part, block: Mapping[str, Any]) -> Part:
    """Let `as_configured` leave out what validators have added to a block."""
    part.model_fields_set.intersection_update(block)
    return part


def _with_known_keys(fault: Any, kind: type[BaseModel]) -> InitErrorDetails:
    details = InitErrorDetails(type=fault["type"], loc=fault["loc"], input=fault["input"], ctx=fault.get("ctx", {}))
    if fault["type"] == "extra_forbidden":
        known = _keys_at(kind, [str(part) for part in fault["loc"][:-1]])
        details["type"] = PydanticCustomError(fault["type"], fault["msg"], {"known": known})
    if fault["type"] in OWN_FAULTS:
        details["type"] = PydanticCustomError(fault["type"], fault["msg"], fault.get("ctx"))
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
    return first_of((_describe(fault, kind, block, place_of) for fault in error.errors(include_url=False)), "; ")


def _describe(fault: Any, kind: Any, block: str, place_of: Callable[[str], str] | None) -> str:
    path = [str(part) for part in fault["loc"]]
    key = ".".join([block, *path] if block else path)
    # What is missing has to be added where what it belongs to is.
    setting = key.rpartition(".")[0] if fault["type"] == "missing" and "." in key else key
    named = _named(key, place_of, setting)
    match fault["type"]:
        case "extra_forbidden":
            known = fault.get("ctx", {}).get("known") or _keys_at(kind, path[:-1])
            return f"nothing reads {named}{did_you_mean(path[-1], known)}"
        case "missing":
            return f"{named} is missing"
        case "value_error":
            return f"{named}: {fault['msg'].removeprefix('Value error, ')}"
        case "renamed":
            return "; ".join(
                f"{_named('.'.join(filter(None, (key, former))), place_of)} is called `{now}` now, rename it"
                for former, now in fault["ctx"]["former"].items()
            )
        case "model_type" | "dict_type":
            return f"{named} is {_shown(fault['input'])}; it should hold `key: value` lines"
    allowed = re.findall(r"'([^']*)'", fault.get("ctx", {}).get("expected", ""))
    message = fault["msg"].partition(", ")[0] if fault["type"].endswith("_parsing") else fault["msg"]
    wanted = message.replace("Input should", "it should", 1)
    return f"{named} is {_shown(fault['input'])}; {wanted}{did_you_mean(str(fault['input']).lower(), allowed)}"


def _named(key: str, place_of: Callable[[str], str] | None, setting: str | None = None) -> str:
    """Name a key and the place that sets it, or another key in whose place it belongs."""
    if not key:
        return "the whole"
    return f"`{key}` of {place_of(setting or key)}" if place_of else f"`{key}`"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name in brackets, or say nothing."""
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
