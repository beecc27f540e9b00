"""Commands of this project beside Kedro's own: ``kedro replay|models|account``; ``kedro run`` reads expressions."""

import click

from quant_pipeline.cli.account import account
from quant_pipeline.cli.models import models
from quant_pipeline.cli.replay import replay
from quant_pipeline.cli.run import run


@click.group(name="quant-pipeline")
def cli() -> None:
    """Commands of quant-pipeline."""


cli.add_command(replay)
cli.add_command(run)
cli.add_command(models)
cli.add_command(account)
