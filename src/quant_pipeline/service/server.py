"""Serve the application by uvicorn, one process per account."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from typing import Any

import click
import uvicorn
from starlette.types import ASGIApp

from quant_pipeline.cli.sessions import Place
from quant_pipeline.common.collection import collect_as_usual
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.locks import locked
from quant_pipeline.service.app import build_app
from quant_pipeline.service.connections import BoundedProtocol
from quant_pipeline.service.opening import open_access, open_served
from quant_pipeline.service.served_project import ServedProject

LOCK = ".lock"
SWITCH = 0.001
"""Seconds after which a thread that computes in Python lets another one go on: five times as often as usual."""


def serve(place: Place, env: str | None, params: dict[str, Any], changes: Mapping[str, Any], public: bool) -> None:
    """Serve until the process is asked to end; jobs that run go on.

    Parameters
    ----------
    place
        The project.
    env, params
        Environment, and what ``--params`` say.
    changes
        Keys of the block ``service`` that the command line changes.
    public
        Whether an address that other machines reach was asked for.

    Raises
    ------
    ConfigurationError
        When the address is refused or in use.
    BusyError
        When another service serves the account.
    """
    project = ServedProject(place, env, params)
    served = open_served(project, changes)
    access = open_access(project, served.rules, public)
    name = project.account.name
    with locked(project.folder / LOCK, f"the service of account '{name}'"):
        listening = _listen(served.rules.host, served.rules.port)
        address, port = listening.getsockname()[:2]
        written = f"[{address}]" if ":" in address else address
        click.echo(f"{name}: serving at http://{written}:{port}; end it with Ctrl-C")
        collect_as_usual()
        sys.setswitchinterval(SWITCH)
        uvicorn.Server(settings_of(build_app(served, access))).run(sockets=[listening])


def settings_of(app: ASGIApp, **where: Any) -> uvicorn.Config:
    """Return how an application is served; ``where`` names host and port when there is no socket yet."""
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        # There is no route for them, and their connections would have no limits.
        ws="none",
        log_level="warning",
        timeout_graceful_shutdown=5,
        server_header=False,
        # What a header says of the asker's address would stand in the audit log as it.
        proxy_headers=False,
        **where,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"cannot listen at {host}:{port}: {error.strerror}. Choose another port: kedro service --port 8601"
        ) from error
    return listening
