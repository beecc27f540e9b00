"""Typed parameters: the base of every block of `conf/*/parameters*.yml`."""

from pydantic import BaseModel, ConfigDict, ValidationError


class Parameters(BaseModel):
    """An immutable block of parameters in which a misspelt key is an error, not a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def describe_faults(error: ValidationError) -> str:
    """Return every key that is wrong with what is wrong about it, in one line."""
    faults = (
        f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}" for fault in error.errors()
    )
    return "; ".join(faults)
