"""The commands of this project as Kedro's command line takes them; each is imported when it is called or described."""

from kedro.framework.cli.utils import LazyGroup

from quant_pipeline.cli.run_command import run

PACKAGE = __name__.rpartition(".")[0]

cli = LazyGroup(
    name="quant-pipeline",
    help="Commands of quant-pipeline.",
    commands=[run],
    lazy_subcommands={
        **{
            name: f"{PACKAGE}.{name}.{name}"
            for name in (
                "account",
                "archive",
                "backtest",
                "ensemble",
                "export",
                "live",
                "market",
                "models",
                "package",
                "ranking",
                "replay",
                "service",
            )
        },
        "compile": f"{PACKAGE}.compile.compile_kernels",
    },
)
