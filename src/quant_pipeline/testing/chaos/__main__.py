"""``python -m quant_pipeline.testing.chaos``: the crash suite as a table, and one JSON object as the last line."""

from __future__ import annotations

import json
import logging
import os
import sys
import time

import click

from quant_pipeline.testing.chaos.mutants import MUTANTS
from quant_pipeline.testing.chaos.suite import catch_all, run_suite, warm_up


@click.command()
@click.option("--every", default=6, show_default=True, help="Kill at every n-th step; 1 is every single step.")
@click.option("--seed", default=7, show_default=True, help="Seed of the broker and of the second kill.")
@click.option("--workers", default=os.cpu_count() or 1, show_default=True, help="Sets of faults at the same time.")
def main(every: int, seed: int, workers: int) -> None:
    """Kill processes at every step of execution and post-trade, under every fault of a broker."""
    logging.getLogger("quant_pipeline").setLevel(logging.CRITICAL)
    warm_up()
    start, crash_points, violations = time.perf_counter(), 0, []
    click.echo(f"{'faults':<78} {'days':>6} {'kills':>6} {'violations':>10}")
    for record in run_suite(every, seed, workers):
        crash_points += record.crash_points
        violations += record.violations
        click.echo(f"{record.name:<78} {record.scenarios:>6} {record.crash_points:>6} {len(record.violations):>10}")
    for found in violations[:20]:
        click.echo(f"  {found}")
    caught = 0
    for mutant, sign in catch_all(MUTANTS, seed, workers):
        caught += sign is not None
        outcome = "NOT CAUGHT" if sign is None else f"caught: {sign.splitlines()[0][:90]}"
        click.echo(f"mutant: {mutant.name:<40} {outcome}")
    figures = {
        "crash_points": crash_points,
        "violations": len(violations),
        "mutants_caught": caught,
        "mutants": len(MUTANTS),
        "seconds": round(time.perf_counter() - start, 1),
    }
    click.echo(json.dumps(figures))
    sys.exit(bool(violations) or caught < len(MUTANTS))


if __name__ == "__main__":
    main()
