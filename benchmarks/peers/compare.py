"""Compare performance, IC, quantile returns, decay and turnover with other libraries; `make compare-peers` runs this.

The other libraries live in an environment of their own, which ``make`` installs from the pinned ``requirements.txt``.
Data are the real stocks of the folder that ``QUANT_PIPELINE_MARKET_DATA`` names, or the embedded market. Prints every
measure with the value of ours and of the peer, the differences of definition, and as its last line one JSON object.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
from comparison import LARGEST_ACCEPTED, compare, summarise, write_table
from ours import HORIZONS, QUANTILES, RISK_FREE_RATES, Inputs, measure, prepare, read_market

BUILD = Path(__file__).parents[2] / "build" / "peers"
PYTHON = BUILD / "environment" / "bin" / "python"


def main() -> None:
    """Measure twice, compare, and end with 1 where a measure differs."""
    if not PYTHON.exists():
        sys.exit(f"{PYTHON} is not there, in which the other libraries are; install them: make compare-peers")
    folder = os.environ.get("QUANT_PIPELINE_MARKET_DATA")
    inputs = prepare(read_market(folder))
    ours, daily = measure(inputs)
    _hand_over(inputs, daily)
    subprocess.run([str(PYTHON), str(Path(__file__).with_name("theirs.py")), str(BUILD)], check=True)
    theirs = json.loads((BUILD / "theirs.json").read_text(encoding="utf-8"))
    differences = compare(ours, theirs["measures"])
    print(write_table(differences))
    print("\nDifferences of definition, converted before comparing:")
    print("\n".join(f"- {line}" for line in theirs["definitions"]))
    compared = {row.measure for row in differences}
    print("\nMeasured by no peer:", "; ".join(sorted(ours.keys() - compared)))
    summary = summarise(differences)
    market = {"market": "real" if folder else "embedded", "sessions": len(inputs.sessions)}
    print(json.dumps({**summary, **market, "versions": theirs["versions"]}))
    sys.exit(0 if summary["largest_relative_difference"] <= LARGEST_ACCEPTED else 1)


def _hand_over(inputs: Inputs, daily: pd.DataFrame) -> None:
    daily.to_parquet(BUILD / "daily.parquet")
    inputs.prices.to_parquet(BUILD / "prices.parquet")
    inputs.ragged.to_parquet(BUILD / "ragged.parquet")
    for name, table in inputs.factors.items():
        table.to_parquet(BUILD / f"{name}.parquet")
    asked = {
        "factors": list(inputs.factors),
        "horizons": HORIZONS,
        "quantiles": QUANTILES,
        "risk_free_rates": RISK_FREE_RATES,
    }
    (BUILD / "asked.json").write_text(json.dumps(asked), encoding="utf-8")


if __name__ == "__main__":
    main()
