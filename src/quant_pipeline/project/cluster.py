"""A Dask cluster: what names it, how it is reached, and how it fails."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quant_pipeline.common.exceptions import ClusterError, ConfigurationError
from quant_pipeline.common.listing import first_of

if TYPE_CHECKING:
    from ssl import SSLContext

    from distributed import Client
    from distributed.security import Security

SECONDS_FOR_AN_ANSWER = 10.0
"""Seconds for which a run waits for a scheduler."""
SECONDS_FOR_A_WORKER = 60.0
"""Seconds for which it waits for the first worker of that scheduler."""
SECONDS_BETWEEN_LOOKS = 30.0
"""Seconds of waiting for a result after which it is worth a look whether there are workers at all."""

PROCESSES = 2
"""Processes of a cluster that nothing names."""
PARAMETER = "cluster"
"""Parameter that names the cluster of a run."""
ADDRESS = re.compile(r"(tcp|tls)://(\[[\w:.%-]+\]|[\w.-]+):([0-9]+)")
"""Protocol, host and port of a scheduler."""


def cluster_of(parameters: Mapping[str, Any]) -> str | int | None:
    """Return the cluster that the parameters of a run name, None where they name none; see `require_cluster`."""
    named = parameters.get(PARAMETER)
    return None if named is None else require_cluster(named)


def require_cluster(named: object) -> str | int:
    """Return what names a cluster, as a command line or a parameter says it.

    Parameters
    ----------
    named
        Address of a scheduler, or a number of processes to start on this machine.

    Raises
    ------
    ConfigurationError
        When it is neither.
    """
    if isinstance(named, str) and named.isdecimal():
        named = int(named)
    if isinstance(named, int) and not isinstance(named, bool) and named > 0:
        return named
    if isinstance(named, str) and _is_address(named):
        return named
    raise ConfigurationError(
        f"`cluster` is {named!r}; it should be the address of a Dask scheduler, such as tcp://10.0.0.5:8786, or a "
        "number of processes to start on this machine"
    )


def _is_address(text: str) -> bool:
    found = ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found[3]) < 2**16:
        return False
    try:
        found[2].encode("idna")
    except UnicodeError:
        # A part of the name is empty or too long.
        return False
    return True


@contextmanager
def connect(where: str | int) -> Iterator[Client]:
    """Connect to a cluster, or start one on this machine that ends with the block.

    Parameters
    ----------
    where
        Address of a scheduler, or a number of processes to start here, see `require_cluster`.

    Raises
    ------
    ConfigurationError
        When dask.distributed is not installed, certificates that are needed are not configured or cannot be read, the
        scheduler does not answer, or it has no workers.
    """
    try:
        with _levels_of_logging_yml():
            import dask
            from distributed import Client, LocalCluster
    except ImportError as error:
        raise ConfigurationError("a cluster needs dask.distributed: pip install 'quant_pipeline[cluster]'") from error
    security = _security(where)
    if isinstance(where, int):
        with (
            # A process that was killed is started again, however long that takes on a busy machine.
            dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"}),
            LocalCluster(n_workers=where, threads_per_worker=1, dashboard_address=None, security=security) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client
        return
    try:
        client = Client(where, timeout=SECONDS_FOR_AN_ANSWER, security=security, set_as_default=False)
    except OSError as error:
        raise ConfigurationError(f"no Dask scheduler answers at {where}; start it, or leave it out. {error}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=SECONDS_FOR_A_WORKER)
        except TimeoutError as error:
            raise ConfigurationError(
                f"the Dask scheduler at {where} has no workers; start some: dask worker {where}"
            ) from error
        yield client


def _security(where: str | int) -> Security:
    """Read Dask's configuration of encrypted connections, which has to suit what names a cluster.

    Processes of this machine are scheduler and workers as well. They are encrypted where it requires that, and never
    open instead: every user of the machine who reaches their ports could run code there.
    """
    from distributed.security import Security

    settings = "Dask's configuration (distributed.comm.tls, https://distributed.dask.org/en/latest/tls.html)"
    address = where if isinstance(where, str) else None
    roles = ("client",) if address else ("scheduler", "worker", "client")
    try:
        security = Security()
        lacking = [role for role in roles if _certificates_of(security, role) is None]
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{settings} cannot be used: {error}. Correct it there.") from error
    needs_them = address.startswith("tls://") if address else security.require_encryption
    if needs_them and lacking:
        files = ", ".join(f"{role}.cert and {role}.key" for role in lacking)
        place = address or "a cluster of this machine"
        raise ConfigurationError(f"{place} needs certificates, and {settings} names none; set ca-file, {files} there")
    if address and address.startswith("tcp://") and security.require_encryption:
        raise ConfigurationError(f"{where} is not encrypted, as {settings} requires; name the scheduler by tls://")
    return security


def _certificates_of(security: Security, role: str) -> SSLContext | None:
    """Read the certificates of a role, None where none are named; an error says which file is the cause."""
    try:
        found: SSLContext | None = security.get_connection_args(role)["ssl_context"]
    except OSError as error:
        named = security.get_tls_config_for_role(role)
        # Of a missing one OpenSSL gives no name. What has lines is a certificate itself.
        files = [named[key] for key in ("ca_file", "cert", "key") if named[key] and "\n" not in named[key]]
        for file in files:
            Path(file).open("rb").close()
        raise OSError(f"{error} ({first_of(dict.fromkeys(files))})") from error
    return found


@contextmanager
def _levels_of_logging_yml() -> Iterator[None]:
    """Let the import of dask.distributed, which sets levels of its own, leave those that are set."""
    whole, client = logging.getLogger("distributed"), logging.getLogger("distributed.client")
    level = whole.level
    try:
        yield
    finally:
        if level != logging.NOTSET:
            whole.setLevel(level)
        # It logs a traceback of what is raised as well, in one line.
        client.setLevel(logging.CRITICAL)


def scheduler_lost(kept: str) -> ClusterError:
    """Say that the scheduler ended in the middle; ``kept`` is what is not done again."""
    return ClusterError(
        f"the scheduler of the cluster was lost; start it and run the same command again: {kept} that are finished are "
        "kept"
    )


def worker_ended(what: str) -> ClusterError:
    """Say that a task or a session ended every worker that ran it."""
    return ClusterError(
        f"a {what} ended every worker that ran it, most likely because it needs more memory than a worker has; start "
        "workers with more (--memory-limit), or see their logs"
    )


def memory_of_task() -> int | None:
    """Return the bytes that the task of this thread may use, as its worker and its other threads do; None without one.

    Workers of one machine have limits that together are no more than its memory, unless they were started with others.
    """
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:
        return None
    limit = worker.memory_manager.memory_limit
    return limit and int(limit) // worker.state.nthreads
