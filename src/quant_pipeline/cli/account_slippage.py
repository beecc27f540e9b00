"""``kedro account adopt-slippage``: the slippage that fills have really paid becomes that of the backtest."""

from __future__ import annotations

from typing import Any

import click

from quant_pipeline.cli.options import env_option, params_option
from quant_pipeline.cli.sessions import Place, as_typed
from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exceptions import StaleDataError

FILE = "parameters.yml"
BLOCK = "cost_rules"


@click.command("adopt-slippage")
@env_option
@params_option
@click.pass_obj
def adopt_slippage(metadata: Place, env: str | None, params: dict[str, Any]) -> None:
    """Write the slippage that the newest analysis proposes into the account's YAML, under cost_rules."""
    from quant_pipeline.cli.account_yaml import edited, file_of_block, require_reachable
    from quant_pipeline.cli.opened_project import open_project
    from quant_pipeline.common.atomic import write_text

    with open_project(metadata, env, params) as opened:
        proposed = opened.catalog.load("analysis_slippage") if opened.catalog.exists("analysis_slippage") else None
        if proposed is None or proposed.empty:
            least = opened.parameters["analysis"]
            raise StaleDataError(
                f"no slippage is proposed: it takes {least['min_orders']} executed orders (analysis.min_orders) in "
                f"{least['min_sessions']} sessions (analysis.min_sessions), and then `kedro run --pipelines analysis`"
            )
        rows = proposed.to_dict("records")
        for row in rows:
            require_reachable(opened, f"{BLOCK}.{row['parameter']}")
        file = file_of_block(opened, BLOCK, FILE)
        write_text(file, edited(file, lambda content: _adopt(content, rows)))
        environment = opened.configuration.environment
    for row in rows:
        click.echo(f"{row['parameter']}: {_said(row)}")
    click.echo(f"written to {as_typed(file)}")
    click.echo(in_environment("Next: kedro run --pipelines ensemble,backtest", environment))


def _adopt(content: Any, rows: list[dict[str, Any]]) -> None:
    from ruamel.yaml.comments import CommentedMap

    block = content.setdefault(BLOCK, CommentedMap())
    for row in rows:
        block[row["parameter"]] = _rounded(row["proposed"])
        remark = f"By the fills of {row['orders']} orders in {row['sessions']} sessions: {_band(row)}."
        block.yaml_set_comment_before_after_key(row["parameter"], before=remark, indent=2)


def _said(row: dict[str, Any]) -> str:
    covers = row["lower"] <= row["present"] <= row["upper"]
    beside = "; the present one lies within the band" if covers else ""
    return f"{row['present']:.3g} becomes {_rounded(row['proposed']):g} ({_band(row)}{beside})"


def _band(row: dict[str, Any]) -> str:
    return f"{row['lower']:.2g} to {row['upper']:.2g}"


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
