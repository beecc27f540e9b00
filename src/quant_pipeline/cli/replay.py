"""``kedro replay``: the daily run, session by session."""

import click

from quant_pipeline.cli.options import ProjectCommand, env_option, quiet
from quant_pipeline.cli.sessions import Place, open_session
from quant_pipeline.common.allocation import keep_large_blocks
from quant_pipeline.common.exceptions import ConfigurationError


@click.command(cls=ProjectCommand)
@click.option("--from", "start", required=True, help="First session, YYYY-MM-DD.")
@click.option("--to", "end", required=True, help="Last session, YYYY-MM-DD.")
@env_option
@click.pass_obj
def replay(metadata: Place, start: str, end: str, env: str | None) -> None:
    """Run the daily pipeline for every session of a range, as if each had just closed."""
    import pandas as pd

    from quant_pipeline.common.progress import track
    from quant_pipeline.market.calendar import TradingCalendar

    with open_session(metadata, env) as session:
        calendar = session.load_context().config_loader["parameters"]["market_rules"]["calendar"]
    sessions = TradingCalendar.of(calendar, pd.Timestamp(start), pd.Timestamp(end)).sessions
    if sessions.empty:
        raise ConfigurationError(f"there is no session of {calendar} from {start} to {end}; choose a wider range")
    keep_large_blocks()
    with quiet():
        for day in track(sessions, "replaying sessions"):
            with open_session(metadata, env, as_of=f"{day:%Y-%m-%d}") as session:
                session.run(pipeline_names=["daily"])
    click.echo(f"replayed {len(sessions)} sessions, {sessions[0]:%Y-%m-%d} to {sessions[-1]:%Y-%m-%d}")
