"""Commands of this project beside Kedro's own: ``kedro account|compile|models|replay``, and its own ``kedro run``."""

from kedro.framework.cli.utils import LazyGroup

# Kedro takes the command of `python -m quant_pipeline` from here: `run` has to be the command, not its module.
from quant_pipeline.cli.run import run

# A command waits for what it needs itself, not for what the others need.
cli = LazyGroup(
    name="quant-pipeline",
    help="Commands of quant-pipeline.",
    commands=[run],
    lazy_subcommands={
        **{name: f"{__name__}.{name}.{name}" for name in ("account", "models", "replay")},
        "compile": f"{__name__}.compile.compile_kernels",
    },
)
