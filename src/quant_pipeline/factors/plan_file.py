"""Keep a compiled plan in a file: the daily command then reads no expression and imports no Qlib."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from quant_pipeline.common.exceptions import FactorError
from quant_pipeline.common.json_files import parse_object
from quant_pipeline.factors.array_file import write_arrays
from quant_pipeline.factors.engine import FactorPlan
from quant_pipeline.factors.expression.program import ColumnOperation, Program, Stage

FORMAT = 1


def save_plan(plan: FactorPlan, path: Path) -> None:
    """Write a plan to one file.

    The file holds numbers and names only; operators of the user are kept by name and must be registered where it is
    read.
    """
    program = plan.program
    meta = {
        "format": FORMAT,
        "factors": program.factors,
        "fields": program.fields,
        "stages": [
            {"back": stage.back, "ahead": stage.ahead, "operations": [vars(o) for o in stage.operations]}
            for stage in program.stages
        ],
        "singles": program.singles,
        "doubles": program.doubles,
        "sizes": program.sizes,
        "reach": [program.back, program.carried_back, program.ahead],
    }
    arrays = {f"code_{i}": stage.code for i, stage in enumerate(program.stages)}
    arrays |= {f"table_{i}": table for i, table in enumerate(program.tables)}
    write_arrays(path, {"meta": np.array(json.dumps(meta)), **arrays})


def load_plan(path: Path, threads: int | None = None) -> FactorPlan:
    """Read a plan.

    Raises
    ------
    FactorError
        When the file was written by another version of the engine, or is damaged.
    """
    try:
        return FactorPlan(_read_program(path), threads)
    except (BadZipFile, EOFError, IndexError, KeyError, TypeError, ValueError) as error:
        raise FactorError(f"the plan in {path} is damaged ({error}); compile it again") from error


def _read_program(path: Path) -> Program:
    with np.load(path, allow_pickle=False) as arrays:
        meta = parse_object(str(arrays["meta"]))
        if meta["format"] != FORMAT:
            raise FactorError(f"the plan in {path} has format {meta['format']}, not {FORMAT}; compile it again")
        stages = [
            Stage(arrays[f"code_{i}"], stage["back"], stage["ahead"], [_operation(o) for o in stage["operations"]])
            for i, stage in enumerate(meta["stages"])
        ]
        tables = tuple(arrays[f"table_{i}"] for i in range(6))
    back, carried_back, ahead = meta["reach"]
    return Program(
        tuple(meta["factors"]),
        tuple(meta["fields"]),
        stages,
        tables,
        meta["singles"],
        meta["doubles"],
        meta["sizes"],
        back,
        carried_back,
        ahead,
    )


def _operation(kept: dict[str, Any]) -> ColumnOperation:
    inputs = tuple((source[0], source[1]) if isinstance(source, list) else source for source in kept["inputs"])
    target = kept["target"]
    return ColumnOperation(kept["operator"], inputs, tuple(kept["constants"]), (target[0], target[1]))
