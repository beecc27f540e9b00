"""``kedro compile``: machine code of all kernels before the first run needs it."""

from __future__ import annotations

import click

from quant_pipeline.cli.options import ProjectCommand


@click.command(name="compile", cls=ProjectCommand)
def compile_kernels() -> None:
    """Compile what runs need, once; machine code that is kept already stays."""
    from quant_pipeline.cli.small_market import SmallMarket
    from quant_pipeline.common.progress import track

    market = SmallMarket()
    steps = (
        market.compute_factors,
        market.book_session,
        market.decide,
        market.run_backtest,
        market.run_combinations,
        market.score_factors,
    )
    for step in track(steps, "compiling kernels"):
        step()
    click.echo("all kernels are compiled and kept")
