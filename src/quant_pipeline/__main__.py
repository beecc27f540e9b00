"""Run the project as a program: ``quant-pipeline`` is ``kedro run``, ``quant-pipeline account`` is ``kedro account``.

The commands of the account and the market need neither Kedro's plugins nor a session, so they begin at once.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from quant_pipeline.common.collection import collect_rarely
from quant_pipeline.common.interruption import end_on_interrupt
from quant_pipeline.common.openmp import let_waiting_threads_sleep


class Place(NamedTuple):
    """What Kedro hands to a command, as far as these commands look at it."""

    project_path: Path


def main() -> None:
    """Run a command of account, live process, market, models or service, else Kedro's ``run``."""
    end_on_interrupt()
    let_waiting_threads_sleep()
    standalone = not hasattr(sys, "ps1")
    if sys.argv[1:2] in (["account"], ["live"], ["market"], ["models"], ["service"]):
        collect_rarely()
        from kedro.utils import find_kedro_project

        place = Place(find_kedro_project(Path.cwd()) or Path.cwd())
        name = sys.argv[1]
        command = import_module(f"quant_pipeline.cli.{name}")
        getattr(command, name)(sys.argv[2:], f"quant-pipeline {name}", obj=place, standalone_mode=standalone)
        return
    from kedro.framework.cli.utils import find_run_command
    from kedro.framework.project import configure_project

    package_name = Path(__file__).parent.name
    configure_project(package_name)
    run = find_run_command(package_name)
    run(standalone_mode=standalone)


if __name__ == "__main__":
    main()
