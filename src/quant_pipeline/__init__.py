"""Multi-model equity strategies, from bars to orders, on one clock, one strategy function and one ledger."""

import logging
import os

from quant_pipeline.common.linear_algebra import use_one_thread

__version__ = "0.1.0"

# Kedro and MLflow both collect usage statistics unless they are configured not to; a trading host must not call home.
os.environ.setdefault("DO_NOT_TRACK", "true")

# MLflow would give itself a log handler and a level of its own; conf/logging.yml says what is shown.
os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")

# kedro-mlflow registers an untyped `predict` at import; MLflow logs a hint about it on every single command.
logging.getLogger("py.warnings").addFilter(
    lambda record: "Add type hints to the `predict` method" not in record.getMessage()
)

# The first import of any part of the package comes by here, also in notebooks and on workers of a cluster.
use_one_thread()
