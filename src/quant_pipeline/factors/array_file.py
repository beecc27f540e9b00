"""Arrays in one file, written completely or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from quant_pipeline.common.atomic import replacing_file


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays of numbers and texts beside their place first; `numpy.load` reads them."""
    with replacing_file(path) as beside, beside.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
