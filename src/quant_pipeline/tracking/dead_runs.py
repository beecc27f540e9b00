"""Close the records of processes that were killed: MLflow would show them as running for ever."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import mlflow
from mlflow.entities import Run
from mlflow.tracking.context.abstract_context import RunContextProvider
from mlflow.tracking.context.registry import _run_context_provider_registry

logger = logging.getLogger(__name__)

HOST, PROCESS, START = "process.host", "process.id", "process.start"
ENDED_STATES = "ZX"
BOOT = Path("/proc/sys/kernel/random/boot_id")


class ProcessTags(RunContextProvider):
    """Tag every run, nested ones too, with the process that writes it, at the moment in which it is created."""

    def in_context(self) -> bool:
        """Declare to MLflow that the tags belong to every run."""
        return True

    def tags(self) -> dict[str, str]:
        """Return host, number and start of this process; numbers are given again, starts are not."""
        pid = os.getpid()
        return {HOST: socket.gethostname(), PROCESS: str(pid), START: start_of(pid) or ""}


def tag_runs() -> None:
    """Let MLflow tag the runs of this process."""
    if not any(isinstance(provider, ProcessTags) for provider in _run_context_provider_registry):
        _run_context_provider_registry.register(ProcessTags)


def start_of(pid: int) -> str | None:
    """Return the boot and the moment in it at which a process started, None when there is no such process.

    Parameters
    ----------
    pid
        Number of a process of this machine. Where there is no ``/proc`` its start is unknown, and empty.
    """
    if not BOOT.exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            return ""
        return ""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in ENDED_STATES else f"{BOOT.read_text().strip()}:{fields[19]}"


def close_dead_runs(experiment: str) -> None:
    """Close as killed what is shown as running in an experiment although its process is gone.

    Runs of other machines and runs without the tags of a process are left alone.

    Parameters
    ----------
    experiment
        Number of the experiment.
    """
    client = mlflow.MlflowClient()
    dead = [run for run in client.search_runs([experiment], "attributes.status = 'RUNNING'") if _is_dead(run)]
    for run in dead:
        client.set_terminated(run.info.run_id, "KILLED")
    if dead:
        logger.info("closed %d runs of processes that were killed", len(dead))


def _is_dead(run: Run) -> bool:
    tags = run.data.tags
    if tags.get(HOST) != socket.gethostname() or not tags.get(PROCESS, "").isdigit():
        return False
    return start_of(int(tags[PROCESS])) != tags.get(START)
