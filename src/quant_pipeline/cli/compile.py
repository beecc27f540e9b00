"""``kedro compile``: machine code of all kernels before the first run needs it."""

from __future__ import annotations

import click

from quant_pipeline.cli.options import ProjectCommand

PARTS = {
    "trading": ("book_session", "decide", "run_backtest", "run_combinations"),
    "factors": ("compute_factors", "score_factors"),
}
"""Steps of `SmallMarket` by part: no kernel of one part is inside a kernel of the other."""


@click.command(name="compile", cls=ProjectCommand)
@click.argument("part", type=click.Choice(list(PARTS)), required=False)
def compile_kernels(part: str | None) -> None:
    """Compile what runs need, once; machine code that is kept already stays.

    PART compiles only that part, so that two processes can share the work.
    """
    from quant_pipeline.cli.small_market import SmallMarket
    from quant_pipeline.common.progress import track

    market = SmallMarket()
    steps = [step for name, steps in PARTS.items() if part in (None, name) for step in steps]
    for step in track(steps, "compiling kernels"):
        getattr(market, step)()
    click.echo(f"all kernels{f' of {part}' if part else ''} are compiled and kept")
