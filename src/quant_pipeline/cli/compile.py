"""``kedro compile``: machine code of all kernels before the first run needs it."""

from __future__ import annotations

from contextlib import ExitStack

import click

from quant_pipeline.cli.options import ProjectCommand

PARTS = {
    "trading": ("book_session", "decide", "run_backtest", "run_combinations"),
    "factors": ("compute_factors", "score_factors", "read_files"),
}
"""Steps of `SmallMarket` by part: no kernel of one part is inside a kernel of the other."""


@click.command(name="compile", cls=ProjectCommand)
@click.argument("part", type=click.Choice(list(PARTS)), required=False)
def compile_kernels(part: str | None) -> None:
    """Compile what runs need, once; machine code that is kept already stays.

    PART compiles only that part, so that two processes can share the work.
    """
    from quant_pipeline.cli.small_market import SmallMarket
    from quant_pipeline.common.compilation_beside import compiling
    from quant_pipeline.common.progress import track

    wanted = {name: steps for name, steps in PARTS.items() if part in (None, name)}
    with ExitStack() as compiled:
        for name in wanted:
            compiled.enter_context(compiling(name))
        market = SmallMarket()
        for step in track([step for steps in wanted.values() for step in steps], "compiling kernels"):
            getattr(market, step)()
    click.echo(f"all kernels{f' of {part}' if part else ''} are compiled and kept")


if __name__ == "__main__":
    compile_kernels()
