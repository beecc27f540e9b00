"""``python -m quant_pipeline.testing.live_rehearsal``: a year of sessions; the last line is a JSON object."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from random import Random

import click

from quant_pipeline.testing.live_rehearsal.director import Director
from quant_pipeline.testing.live_rehearsal.stage import on_stage
from quant_pipeline.testing.postgres_server import PostgresServer, programs_of_postgres

PROJECT = Path(__file__).resolve().parents[4]


@click.command(context_settings={"show_default": True})
@click.option("--sessions", default=250, help="Daily runs to see.")
@click.option("--seed", default=1, help="Chooses faults and moments.")
@click.option(
    "--postgres/--file",
    default=programs_of_postgres() is not None,
    help="Keep the ledger in a PostgreSQL server, which is restarted, or in a file.",
)
@click.option("--minutes", type=float, help="End with what was seen after so many minutes.")
def main(sessions: int, seed: int, postgres: bool, minutes: float | None) -> None:
    """Rehearse the live process."""
    with ExitStack() as entered:
        place = Path(entered.enter_context(tempfile.TemporaryDirectory(prefix="live-rehearsal-"))) / "project"
        place.mkdir()
        database = entered.enter_context(PostgresServer()) if postgres else None
        with on_stage(PROJECT, place, "2024-01-02", "2026-06-30", database) as stage:
            director = Director(stage, sessions, Random(seed))  # noqa: S311 - no secret hangs on it
            report = director.lead(minutes)
    for name, count in sorted(director.struck.items()):
        click.echo(f"{count:4d}  {name}")
    click.echo(json.dumps(report))


if __name__ == "__main__":
    main()
