"""Typed parameters: the base of every block of `conf/*/parameters*.yml`."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator


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


def describe_faults(error: ValidationError) -> str:
    """Return every key that is wrong with what is wrong about it, in one line."""
    faults = (
        f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}" for fault in error.errors()
    )
    return "; ".join(faults)
