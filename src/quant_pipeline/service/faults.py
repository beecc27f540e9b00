"""What a broken part of a project may raise: files of the configuration, tables, ledgers, as they are found."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import jinja2
import pyarrow as pa
import sqlalchemy as sa
import yaml
from kedro.io import DatasetError

from quant_pipeline.common.exceptions import QuantPipelineError
from quant_pipeline.service.problems import Refused
from quant_pipeline.service.redaction import without_paths

FAULTS: Final = (
    QuantPipelineError,
    Refused,
    DatasetError,
    yaml.YAMLError,
    sa.exc.SQLAlchemyError,
    pa.ArrowException,
    jinja2.TemplateError,
    OSError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What keeps one pane, one account or one check from being shown; the others are."""


def in_short(error: Exception, project: Path) -> str:
    """Say why something cannot be shown: the message where an operator can repair it, else what kind of fault it is."""
    is_for_operators = isinstance(error, (QuantPipelineError, Refused))
    return without_paths(str(error), project) if is_for_operators else type(error).__name__
