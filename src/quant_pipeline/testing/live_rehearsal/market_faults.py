"""What goes wrong with the stream of market data while the session is open, and whether it is noticed and made good.

Each function publishes bars as the exchange would and waits until the file for the limits says what the stream did not.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from decimal import Decimal
from random import Random
from typing import NamedTuple

import pandas as pd
import psutil

from quant_pipeline.live.market_data.files import read_watch
from quant_pipeline.testing.live_rehearsal.stage import Stage
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.market_snapshot import MARKET_FILE, MarketSnapshot

MINUTE, CENT = pd.Timedelta(minutes=1), Decimal("0.01")
ANY_AGE = float("inf")


class Heard(NamedTuple):
    """An instrument that the stream listens to, the open of the session, and what the instrument costs."""

    name: str
    opens_at: pd.Timestamp
    price: Decimal


def mute(stage: Stage, _: Random) -> None:
    """Let the connection stand and say nothing: it is made again, and the missed minute comes from REST."""
    heard = _heard(stage)
    _say_minute(stage, heard, 0)
    stage.play(market={"mute": True})
    _say_minute(stage, heard, 1)


def dropped(stage: Stage, _: Random) -> None:
    """Let the connection break in the place of a bar, which comes from REST."""
    heard = _heard(stage)
    _say_minute(stage, heard, 0)
    stage.play(market={"drop_before_message": 1})
    _say_minute(stage, heard, 1)
    _say_minute(stage, heard, 2)


def not_filled_at_once(stage: Stage, _: Random) -> None:
    """Let the connection break while bars cannot be asked for either: they are asked for again."""
    heard = _heard(stage)
    unreachable = {"request": "bars", "kind": "status_before", "times": 4, "status": 503}
    stage.play(market={"drop_before_message": 1}, faults=[unreachable])
    _say_minute(stage, heard, 0)


def taken(stage: Stage, _: Random) -> None:
    """Let another program have the only connection of the key: the session goes on without the stream."""
    session, folder = stage.coming_session(), stage.journal.parent
    stage.play(market={"max_connections": 0})
    stage.move(stage.exchange.hours.opens_at(session) + 2 * MINUTE)

    def is_watched_without_stream() -> bool:
        found = read_watch(folder)
        return found.get("session") == f"{session:%Y-%m-%d}" and found.get("connections") == 0

    stage.wait_until(is_watched_without_stream, "the session is watched without the stream")


def watching_killed(stage: Stage, _: Random) -> None:
    """Kill the watching process: another one takes its place and knows the session again."""
    heard = _heard(stage)
    _say_minute(stage, heard, 0)
    assert stage.live is not None
    for child in psutil.Process(stage.live.pid).children():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if "watch" in child.cmdline():
                os.killpg(child.pid, signal.SIGKILL)
    stage.wait_until(lambda: not stage.server.market_stream.subscriptions, "the stream of the killed process is closed")
    stage.move(stage.now() + MINUTE)
    _say_minute(stage, heard, 1)


def halted(stage: Stage, _: Random) -> None:
    """Halt an instrument that is planned shortly before the open; its order is not sent."""
    session = stage.coming_session()
    stage.move(stage.exchange.hours.opens_at(session) - 5 * MINUTE)
    _wait_for_stream(stage)
    ledger = stage.events()
    plan = fold(ledger.events()).plans.get(session)
    ledger.engine.dispose()
    if plan is None or not plan.orders:
        return
    name = plan.orders[0].instrument
    stage.server.market_stream.publish_status(name, stage.now(), "H", "Trading Halt")
    stage.wait_until(lambda: name in _snapshot(stage).halted, f"the halt of {name} is known")


def _heard(stage: Stage) -> Heard:
    """Open the session, wait for the stream, and return something that it listens to."""
    opens_at = stage.exchange.hours.opens_at(stage.coming_session())
    stage.move(opens_at + 4 * MINUTE)
    name = _wait_for_stream(stage)
    return Heard(name, opens_at, stage.exchange.prices[name].quantize(CENT))


def _wait_for_stream(stage: Stage) -> str:
    """Wait until the stream stands, and return the first instrument that it listens to."""

    def names() -> list[str]:
        wanted = [*stage.server.market_stream.subscriptions.values()]
        return wanted[0].get("bars", []) if wanted else []

    stage.wait_until(names, "the stream of market data stands")
    return names()[0]


def _say_minute(stage: Stage, heard: Heard, minute: int) -> None:
    """Publish the bar of a minute, and wait until its close is known, whichever way it came."""
    close = heard.price + minute * CENT
    bar = dict.fromkeys(("o", "h", "l", "c"), float(close)) | {"v": 1000.0}
    stage.server.market_stream.publish_bar(heard.name, heard.opens_at + minute * MINUTE, bar)

    def is_known() -> bool:
        trade = _snapshot(stage).trades.get(heard.name)
        return trade is not None and trade.price == close

    stage.wait_until(is_known, f"minute {minute} of {heard.name} is known")


def _snapshot(stage: Stage) -> MarketSnapshot:
    return MarketSnapshot.read(stage.journal.parent / MARKET_FILE, ANY_AGE)
