"""The process under rehearsal: `kedro live` of a paper account, with the warm commands in the place of whole runs."""

from __future__ import annotations

import json
import logging
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from quant_pipeline.cli.live import begin_again
from quant_pipeline.cli.opened_account import open_account
from quant_pipeline.common.collection import collect_as_usual, collect_rarely
from quant_pipeline.common.exceptions import QuantPipelineError
from quant_pipeline.common.locks import locked
from quant_pipeline.live.account import LiveAccount
from quant_pipeline.live.clocks import AskedClock
from quant_pipeline.live.opening import LOCK, open_reach
from quant_pipeline.live.process import LiveProcess
from quant_pipeline.testing.live_rehearsal import SETTINGS, client

PAUSE = 0.2
"""Seconds between two looks at the clock of the fake."""


class Place(NamedTuple):
    """The project of the rehearsal."""

    project_path: Path


def main(folder: Path, door: str) -> None:
    """Live until asked to end."""
    # The process imports no more than `kedro live` does: how soon it is ready again is measured.
    params = {"alpaca_url": json.loads((folder / SETTINGS).read_text())["url"], "as_of": "2024-01-02"}
    place = Place(folder)
    with open_account(place, "paper", params) as opened:
        account = LiveAccount.of(place, opened, {"alpaca_url": params["alpaca_url"]})
        with locked(account.folder / LOCK, f"the live process of account '{account.name}'"):
            broker, reach = opened.reach_broker(), open_reach(account, None)
            program = (sys.executable, "-S", "-E", client.__file__, door)
            reach.commands = replace(reach.commands, program=program)
            reach.clock = AskedClock(lambda: broker.clock().now, PAUSE)
            process = LiveProcess(account, reach)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, lambda *_: process.stop())
            collect_as_usual()
            process.run()
    if process.begins_again:
        begin_again()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    collect_rarely()
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except QuantPipelineError as error:
        sys.exit(f"Error: {error.message}")
