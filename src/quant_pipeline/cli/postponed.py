"""Commands that are listed without their module, which is imported when one of them is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click
from kedro.framework.cli import utils
from kedro.framework.cli.hooks.manager import CLIHooksManager


class PostponedCommand(click.Command):
    """A command that knows its name and its summary, and imports the real one as soon as it is called.

    Parameters
    ----------
    name
        Name of the command.
    summary
        What the list of commands says about it.
    place
        Where the real one is: ``package.module:attribute``.
    """

    def __init__(self, name: str, summary: str, place: str) -> None:
        super().__init__(name, short_help=summary)
        self._place = place

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the arguments as the real command does; from here on click calls that one."""
        module, _, attribute = self._place.partition(":")
        real: click.Command = getattr(import_module(module), attribute)
        return real.make_context(info_name, args, parent, **extra)


MLFLOW_COMMANDS = "kedro_mlflow.framework.cli.cli"
PLUGIN_GROUPS = {
    MLFLOW_COMMANDS: click.Group(
        "Kedro-Mlflow",
        help="Kedro plugin for interactions with mlflow.",
        commands=[
            PostponedCommand(
                "mlflow",
                "Use mlflow-specific commands inside kedro project.",
                "quant_pipeline.cli.mlflow_commands:mlflow_commands",
            )
        ],
    )
}
"""What Kedro lists in place of the groups of a plugin, by the module of its entry point."""
TELEMETRY = "kedro-telemetry"
"""Entry point of a plugin that `.telemetry` switches off; it would be imported to find that out."""


def postpone_plugins() -> None:
    """Let Kedro's command line import a plugin when a command of it is called, not to learn what it is called.

    The plugin of Kedro's telemetry is not imported at all.

    Kedro 1.7 imports every plugin before it reads the arguments, and has no setting for it; MLflow alone takes longer
    than all the rest of ``kedro --help``.
    """
    load = utils._safe_load_entry_point

    def load_unless_postponed(entry_point: Any) -> Any:
        return PLUGIN_GROUPS.get(entry_point.module) or load(entry_point)

    utils._safe_load_entry_point = load_unless_postponed
    register = CLIHooksManager._register_cli_hooks

    def register_others(manager: CLIHooksManager) -> None:
        manager.set_blocked(TELEMETRY)
        register(manager)

    CLIHooksManager._register_cli_hooks = register_others  # type: ignore[assignment, method-assign]
