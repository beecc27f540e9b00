"""``kedro service``: answer programs over HTTP from the account, the models and the market of an environment.

The command imports what it needs when it is called: Kedro imports this module to describe it.
"""

from __future__ import annotations

from typing import Any

import click

from quant_pipeline.cli.options import ProjectCommand, env_option, params_option
from quant_pipeline.cli.sessions import Place
from quant_pipeline.common.exceptions import ConfigurationError


@click.command(cls=ProjectCommand)
@click.option("--host", help="Address; that of service.host when it is not given.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; that of service.port when it is not given.")
@click.option("--public", is_flag=True, help="Listen on an address that other machines reach; needs tokens.")
@env_option
@params_option
@click.pass_obj
def service(
    metadata: Place, host: str | None, port: int | None, public: bool, env: str | None, params: dict[str, Any]
) -> None:
    """Answer programs over HTTP: factors, models, backtests, the account, jobs."""
    try:
        from quant_pipeline.service.server import serve
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("quant_pipeline"):
            raise
        raise ConfigurationError(
            f"the service needs '{error.name}', which is not installed: pip install 'quant_pipeline[service]'"
        ) from error
    changes = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    serve(metadata, env, params, changes, public)
