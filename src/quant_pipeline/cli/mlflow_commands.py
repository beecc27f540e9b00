"""``kedro mlflow``: kedro-mlflow's commands, which open the account that all other commands mean when none is named."""

from kedro_mlflow.framework.cli.cli import mlflow_commands, ui

# It would open conf/local, which is no account here.
for option in ui.params:
    if option.name == "env":
        option.default = None

__all__ = ["mlflow_commands"]
