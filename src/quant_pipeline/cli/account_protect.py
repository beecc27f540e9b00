"""``kedro account protect``: losses and stops of a session; the live process starts it when one is near."""

from __future__ import annotations

from typing import Any

import click

from quant_pipeline.cli.options import env_option, params_option
from quant_pipeline.cli.sessions import Place
from quant_pipeline.common.exceptions import ConfigurationError


@click.command()
@env_option
@params_option
@click.pass_obj
def protect(metadata: Place, env: str | None, params: dict[str, Any]) -> None:
    """Look at the losses of this session, and sell whole what has touched a stop; as every order, within the limits."""
    from quant_pipeline.cli.opened_account import open_account, open_desk
    from quant_pipeline.live.market_data.session import LiveSession
    from quant_pipeline.trading.broker_records import TimeInForce
    from quant_pipeline.trading.orders.execution import Market
    from quant_pipeline.trading.orders.protection import at_session_prices
    from quant_pipeline.trading.orders.protection import protect as protect_account
    from quant_pipeline.trading.orders.risk_inputs import instrument_views

    with open_account(metadata, env, params, reduces_risk=True) as opened:
        if opened.account.filled_by != "broker":
            raise ConfigurationError(f"'{opened.name}' has no broker that could protect it")
        if (kind := opened.desk_rules.execution.time_in_force) is not TimeInForce.DAY:
            raise ConfigurationError(
                f"orders of '{opened.name}' are for an auction (execution.time_in_force: {kind}); none can leave while "
                "the session goes on. Its stops are looked at after the close."
            )
        going_on = LiveSession(opened)
        bars = going_on.bars_by_rest()
        stops = going_on.stops(bars)
        market: Market = {}
        if stops:
            if not opened.catalog.exists("execution_market"):
                raise ConfigurationError(
                    f"the limits know no market of {going_on.session:%Y-%m-%d} yet; execution makes it: kedro run "
                    "--pipelines execution"
                )
            closes = instrument_views(opened.catalog.load("execution_market"))
            market = at_session_prices(closes, bars, opened.desk_rules.limits.price_collar)
        with open_desk(opened) as desk:
            sold = protect_account(desk, market, stops)
            state = desk.journal.book.trading_state
    for name, reason in stops.items():
        click.echo(f"{name}: {reason}{'' if name in sold else ', not sold now'}")
    click.echo(f"{opened.name} is {state}; {len(stops)} stops are touched, {len(sold)} holdings were sold")
