"""``kedro ensemble adopt``: what a search has found becomes a combination of the account, in its YAML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quant_pipeline.cli.options import ProjectGroup, env_option
from quant_pipeline.cli.sessions import Place, as_typed
from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.common.listing import first_of

if TYPE_CHECKING:
    import pandas as pd

    from quant_pipeline.cli.opened_project import OpenedProject

FILE = "parameters_ensemble.yml"
BLOCK = "ensemble"


@click.group(cls=ProjectGroup)
def ensemble() -> None:
    """Bring what the ensemble search has found into trading."""


@ensemble.command()
@click.argument("name")
@click.option("--rank", type=click.IntRange(min=1), default=1, show_default=True, help="Place on the leaderboard.")
@click.option("--keep-default", is_flag=True, help="Add the combination; the orders stay those of the present default.")
@env_option
@click.pass_obj
def adopt(metadata: Place, name: str, rank: int, keep_default: bool, env: str | None) -> None:
    """Write the winner of the newest search into the account's YAML as combination NAME, which gives the orders."""
    from quant_pipeline.cli.account_yaml import file_of_block, require_reachable
    from quant_pipeline.cli.opened_project import open_project
    from quant_pipeline.common.atomic import write_text

    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise ConfigurationError(f"'{name}' is no name of a combination; use letters, digits and underscores")
    with open_project(metadata, env) as opened:
        found, remark = _found(opened, rank)
        file = file_of_block(opened, BLOCK, FILE)
        _require_free(opened, name)
        text = _adopted(file, name, str(found["combination"]).split(" + "), remark, keep_default)
        _require_models(opened, str(found["combination"]).split(" + "))
        if not keep_default:
            require_reachable(opened, f"{BLOCK}.default", "remove it there, or give --keep-default")
        write_text(file, text)
        environment = opened.configuration.environment
    role = "is added" if keep_default else "gives the orders"
    click.echo(f"{name} ({found['combination']}) {role}: {as_typed(file)}")
    click.echo(remark)
    click.echo(
        in_environment(
            "Next: kedro run --pipelines ensemble,backtest,prediction,post_trade,order_generation", environment
        )
    )


def _found(opened: OpenedProject, rank: int) -> tuple[pd.Series, str]:
    """Return a row of the leaderboard, and where it comes from in one line."""
    if not opened.catalog.exists("search_leaderboard"):
        raise StaleDataError("no search has been made yet; run `kedro run --pipelines ensemble_search` first")
    leaders, verdict = opened.catalog.load("search_leaderboard"), opened.catalog.load("search_verdict")
    periods = opened.catalog.load("search_periods")
    if rank > len(leaders):
        raise ConfigurationError(f"the leaderboard has {len(leaders)} places; there is no {rank}.")
    row = leaders.iloc[rank - 1]
    return row, (
        f"adopted from the ensemble search of {periods['first'].iloc[0]:%Y-%m-%d} to "
        f"{periods['last'].iloc[-1]:%Y-%m-%d}: place {rank} of {verdict['trials']}, Sharpe ratio "
        f"{row['excess_sharpe']:.2f} over the benchmark; that the first is the best is {verdict['verdict']}"
    )


def _adopted(file: Path, name: str, models: list[str], remark: str, keep_default: bool) -> str:
    """Return the text of the file with the combination; comments and order of what is there stay."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    from quant_pipeline.cli.account_yaml import edited

    def adopt(content: Any) -> None:
        block = content.setdefault(BLOCK, CommentedMap())
        combinations = block.setdefault("combinations", CommentedMap())
        members = CommentedSeq(models)
        members.fa.set_flow_style()
        combinations[name] = CommentedMap({"models": members, "member_weights": "equal"})
        combinations.yaml_set_comment_before_after_key(name, before=remark[0].upper() + remark[1:], indent=4)
        if not keep_default:
            block["default"] = name

    return edited(file, adopt)


def _require_free(opened: OpenedProject, name: str) -> None:
    """Refuse the name of a combination that some file has, and of another source of orders."""
    from quant_pipeline.project.model_registry import TAKEN

    if name in opened.parameters["ensemble"]["combinations"]:
        place = opened.configuration.place_of(f"{BLOCK}.combinations.{name}")
        raise ConfigurationError(f"{place} has a combination '{name}' already; choose another name, or remove it")
    if name in TAKEN or name in opened.parameters["models"]:
        meaning = TAKEN.get(name, "a model")
        raise ConfigurationError(f"as a source of orders '{name}' means {meaning} already; choose another name")


def _require_models(opened: OpenedProject, models: list[str]) -> None:
    """Refuse members that were taken out of the registry since the search."""
    entries = opened.parameters["models"]
    gone = [model for model in models if not entries.get(model, {}).get("enabled", model in entries)]
    if gone:
        raise ConfigurationError(f"{first_of(gone)} of the found combination is not enabled in parameters_models.yml")
