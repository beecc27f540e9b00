"""Commands of this project beside Kedro's own: ``kedro replay``."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click
import pandas as pd
from kedro.framework.cli.utils import env_option
from kedro.framework.session import KedroSession
from kedro.framework.startup import ProjectMetadata

from quant_pipeline.exceptions import ConfigurationError
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.progress import track


@click.group(name="quant-pipeline")
def cli() -> None:
    """Commands of quant-pipeline."""


@cli.command()
@click.option("--from", "start", required=True, help="First session, YYYY-MM-DD.")
@click.option("--to", "end", required=True, help="Last session, YYYY-MM-DD.")
@env_option
@click.pass_obj
def replay(metadata: ProjectMetadata, start: str, end: str, env: str | None) -> None:
    """Run the daily pipeline for every session of a range, as if each had just closed."""
    with _session(metadata, env) as session:
        calendar = session.load_context().config_loader["parameters"]["market_rules"]["calendar"]
    sessions = TradingCalendar.of(calendar, pd.Timestamp(start), pd.Timestamp(end)).sessions
    if sessions.empty:
        raise ConfigurationError(f"there is no session of {calendar} from {start} to {end}; choose a wider range")
    with _quiet():
        for day in track(sessions, "replaying sessions"):
            with _session(metadata, env, as_of=f"{day:%Y-%m-%d}") as session:
                session.run(pipeline_names=["daily"])
    click.echo(f"replayed {len(sessions)} sessions, {sessions[0]:%Y-%m-%d} to {sessions[-1]:%Y-%m-%d}")


@contextmanager
def _session(metadata: ProjectMetadata, env: str | None, **parameters: str) -> Iterator[KedroSession]:
    session = KedroSession.create(metadata.project_path, env=env, runtime_params=parameters, save_on_close=False)
    with session:
        yield session


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what every single session would say; the progress of the whole stays."""
    chatty = [logging.getLogger(name) for name in ("kedro", "quant_pipeline.hooks")]
    levels = [logger.level for logger in chatty]
    for logger in chatty:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(chatty, levels, strict=True):
            logger.setLevel(level)
