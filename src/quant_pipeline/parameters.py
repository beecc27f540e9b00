"""Typed parameters: the base of every block of `conf/*/parameters*.yml`."""

from pydantic import BaseModel, ConfigDict


class Parameters(BaseModel):
    """An immutable block of parameters in which a misspelt key is an error, not a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True)
