"""``kedro backtest export`` and ``verdict``: a finished backtest in another engine, through a folder of files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quant_pipeline.cli.options import ProjectCommand, TypedPath, env_option, params_option
from quant_pipeline.cli.sessions import Place
from quant_pipeline.cli.stored_backtests import facts_of, folder_of, stored_backtests
from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError

if TYPE_CHECKING:
    import pandas as pd

    from quant_pipeline.backtest.other_engines.folder import FinishedBacktest
    from quant_pipeline.cli.opened_project import OpenedProject


@click.command(cls=ProjectCommand)
@click.argument("name")
@click.option("--path", type=TypedPath(), help="Folder to write; by default exports/backtest_NAME. It is replaced.")
@click.option("--bundle", metavar="MODEL", help="Hand over the champion of a model too, as ONNX, with its inputs.")
@env_option
@params_option
@click.pass_obj
def export(
    metadata: Place, name: str, path: Path | None, bundle: str | None, env: str | None, params: dict[str, Any]
) -> None:
    """Write orders, prices, scores and rules of the backtest NAME as a folder that another engine executes."""
    from quant_pipeline.backtest.other_engines.folder import write_exchange
    from quant_pipeline.cli.model_export import hand_over
    from quant_pipeline.cli.opened_models import open_models

    with open_models(metadata, env, params) as opened:
        folder = path or Path("exports") / f"backtest_{name}"
        finished = _finished(opened, name)
        span = finished.nav["date"].iloc[0], finished.nav["date"].iloc[-1]
        writer = None if bundle is None else partial(hand_over, opened, bundle, span)
        n_orders = write_exchange(folder, finished, writer)
    click.echo(
        f"{name}: {n_orders:,} orders in {folder}\n"
        f"make adapter-nautilus EXCHANGE={folder} lets another engine execute them, make adapter-lumibot a third one"
    )


@click.command(cls=ProjectCommand)
@click.argument("folder", type=TypedPath(file_okay=False))
@click.pass_context
def verdict(context: click.Context, folder: Path) -> None:
    """Compare what other engines have made of FOLDER with its backtest; exit status 1 if one does not confirm it."""
    from quant_pipeline.backtest.other_engines.agreement import compare_fills
    from quant_pipeline.backtest.other_engines.verdicts import read_executed, read_facts
    from quant_pipeline.backtest.other_engines.wording import describe

    executed = read_executed(folder, read_facts(folder))
    if not executed:
        raise ConfigurationError(
            f"no engine has executed {folder} yet; `make adapter-nautilus EXCHANGE={folder}` lets one do so"
        )
    found = [compare_fills(folder, each) for each in executed]
    for agreement in found:
        click.echo("\n".join(describe(agreement)))
    context.exit(1 if any(agreement.failures for agreement in found) else 0)


def _finished(opened: OpenedProject, name: str) -> FinishedBacktest:
    """Gather a stored backtest and what it has traded."""
    import pandas as pd

    from quant_pipeline.backtest.other_engines.folder import FinishedBacktest
    from quant_pipeline.exchange.rules import CostRules, MarketRules
    from quant_pipeline.market.currencies import unit_of_amounts
    from quant_pipeline.strategy.account_parameters import AccountParameters
    from quant_pipeline.strategy.rules import StrategyRules

    folder = folder_of(name, stored_backtests(opened))
    facts = facts_of(folder)
    configured = facts["parameters"]
    market_rules = MarketRules.model_validate(configured["market_rules"])
    rules = {
        "strategy": StrategyRules.model_validate(configured["strategy"]),
        "market_rules": market_rules,
        "cost_rules": CostRules.model_validate(configured["cost_rules"]),
        "account": AccountParameters.model_validate(configured["account"]),
    }
    combination = configured["ensemble"]["default"]
    return FinishedBacktest(
        name=name,
        trades=pd.read_parquet(folder / "trades.parquet"),
        nav=pd.read_parquet(folder / "nav.parquet"),
        bars=opened.catalog.load("bars"),
        corporate_actions=opened.catalog.load("corporate_actions"),
        scores=_scores(opened, combination, facts.get("bundles", {})),
        parameters={block: each.model_dump(mode="json") for block, each in rules.items()},
        made_of={
            "engine": configured.get("backtest", {}).get("engine", "array"),
            "combination": combination,
            "bundles": facts.get("bundles", {}),
            "parameters": facts["hash"],
            "currency": unit_of_amounts(market_rules.calendar),
        },
    )


def _scores(opened: OpenedProject, combination: str, bundles: dict[str, Any]) -> pd.DataFrame:
    """Return the scores behind a backtest, unless they were fused of other bundles since."""
    from quant_pipeline.pipelines.ensemble.provenance import bundles_behind

    if bundles_behind(opened.catalog.load("ensemble_weight_history"), combination) != bundles:
        raise StaleDataError(
            f"the scores of combination '{combination}' were made by other bundles than those behind the backtest; "
            "run it again: `kedro run --pipelines backtest`"
        )
    fused = opened.catalog.load("fused_scores")
    of_it = fused.loc[fused["combination"] == combination, ["datetime", "instrument", "score"]]
    return of_it.rename(columns={"datetime": "date"}).reset_index(drop=True)
