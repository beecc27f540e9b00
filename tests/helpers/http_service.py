"""The HTTP service of a project in a thread of the test: uvicorn itself, on a free port of this machine."""

from contextlib import contextmanager
from threading import Thread
from types import SimpleNamespace

import httpx
import pytest
import uvicorn

from quant_pipeline.service.access import Access
from quant_pipeline.service.app import build_app
from quant_pipeline.service.jobs.table import OPEN
from quant_pipeline.service.opening import open_access, open_served
from quant_pipeline.service.parameters import Token
from quant_pipeline.service.served_project import ServedProject
from quant_pipeline.service.server import settings_of
from tests.helpers.servers import answers, free_port


def is_drawn(page):
    """Return whether all panes of a page are there; a loaded machine may take its time for the first drawing."""
    return not any(words in page for words in ("It is being drawn", "asked for since"))


@contextmanager
def running_service(folder, tokens=None, env=None, params=None, **rules):
    """Serve a project; give a client, what is served, and the address."""
    project = ServedProject(SimpleNamespace(project_path=folder), env, params or {})
    port = free_port()
    served = open_served(project, {"port": port, **rules})
    access = open_access(project, served.rules, public=False)
    if tokens:
        named = {name: Token.model_validate(entry) for name, entry in tokens.items()}
        access = Access(named, access.hosts, access.max_bytes, access.max_depth)
    server = uvicorn.Server(settings_of(build_app(served, access), port=port))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{port}"
    assert answers(f"{url}/health", 60)
    try:
        with httpx.Client(base_url=url, timeout=120) as client:
            yield SimpleNamespace(client=client, served=served, url=url)
    finally:
        for job in served.jobs.table.in_states(*OPEN):
            served.jobs.cancel(job)
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="module")
def service(finished, tmp_path_factory):
    """A running service on a copy of the project."""
    with running_service(finished.copy(tmp_path_factory.mktemp("service") / "project").path) as running:
        yield running
