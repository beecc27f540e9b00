"""What a ranking was made from, and the hashes by which a receiver sees that its files are as they were written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from quant_pipeline import __version__
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.listing import first_of
from quant_pipeline.pipelines.ensemble.provenance import WEIGHTS, stated_bundles
from quant_pipeline.reports.spreadsheet import safe

MANIFEST = "ranking_manifest.json"
"""Name of the manifest; it lies beside the files."""
BYTE_ORDER_MARK = "\ufeff"
"""First character of the CSV file: without it spreadsheets take UTF-8 for another encoding."""


def write_csv(ranking: pd.DataFrame) -> str:
    """Write a ranking as CSV; a cell that a spreadsheet would run as a formula gets an apostrophe before it."""
    return BYTE_ORDER_MARK + safe(ranking).to_csv(index=False, float_format="%.10g", lineterminator="\n")


def write_json(ranking: pd.DataFrame) -> str:
    """Write a ranking as a JSON list of rows; what is missing is null."""
    rows = json.loads(ranking.to_json(orient="records", date_format="iso", date_unit="s", double_precision=10))
    if not rows:
        return "[]\n"
    # `indent` would choose the encoder that is written in Python, which takes most of the time of a ranking.
    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",\n  ", ": "))
    return "[\n" + ",\n".join(f" {{\n  {encoder.encode(row)[1:-1]}\n }}" for row in rows) + "\n]\n"


def state_manifest(
    sources: Mapping[str, pd.DataFrame], rows: str, texts: Mapping[str, str], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """State what a ranking was made from.

    Parameters
    ----------
    sources
        Scores by source, see `scores_by_source`.
    rows
        All rows of the table as `write_csv` writes them.
    texts
        Contents of the files by name.
    facts
        Session, execution price and whatever else belongs to all rows.

    Returns
    -------
    dict
        The facts; ``sources``: bundle identities by model, and the hash of the weights of a combination; ``files``:
        SHA-256 of each file; ``rows_sha256``: SHA-256 of the rows, by which a Parquet file is recognised.
    """
    made = {}
    for name, table in sources.items():
        weights = {WEIGHTS: str(table[WEIGHTS].iloc[0])} if WEIGHTS in table.columns else {}
        made[name] = {"kind": table["kind"].iloc[0], "bundles": stated_bundles(table) or {}, **weights}
    return {
        **facts,
        "quant_pipeline": __version__,
        "sources": made,
        "files": {name: _sha256(text) for name, text in texts.items()},
        "rows_sha256": _sha256(rows),
    }


def verify(file: Path, manifest: Mapping[str, Any]) -> bool:
    """Return whether a file of a ranking is as it was written.

    Raises
    ------
    ConfigurationError
        When the manifest says nothing about such a file.
    """
    if file.suffix == ".parquet":
        try:
            rows = pd.read_parquet(file)
        except (ValueError, OSError):
            return False
        return _sha256(write_csv(rows)) == str(manifest["rows_sha256"])
    if file.name not in manifest["files"]:
        known = first_of([*manifest["files"], "a .parquet file"])
        raise ConfigurationError(f"the manifest has no file '{file.name}'; it has {known}. Keep the name of the file")
    return bool(hashlib.sha256(file.read_bytes()).hexdigest() == manifest["files"][file.name])


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
