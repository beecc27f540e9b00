"""The service of a paper account in a process of its own, as operators start it, and pages of it in a browser."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pandas as pd

from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY
from tests.helpers.servers import answers, free_port
from tests.helpers.three_accounts import at_broker, by_statements, simulated, three_accounts

# Milliseconds.
PATIENCE = 60_000
HOSTILE = '<img src="//evil.example/x" onerror="window.hit=1"><script>window.hit=1</script>'
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


class PaperService:
    """A service in a process of its own, which tests kill and start again at the same address."""

    def __init__(self, path, address):
        self.path, self.address, self.port = path, address, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        with (self.path / "service.log").open("ab") as log:
            self.process = subprocess.Popen(
                self._words("service", "--port", str(self.port)), **self._place, stdout=log, stderr=log
            )
        assert answers(f"{self.url}/health", 120), (self.path / "service.log").read_text()

    def command(self, *words):
        """Run a command as the operator does at the terminal."""
        done = subprocess.run(self._words(*words), **self._place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def _words(self, *words):
        params = f"alpaca_url={self.address},as_of=2025-03-03,execution.poll_seconds=0.02"
        return [sys.executable, "-m", "quant_pipeline", *words, "--env", "paper", "--params", params]

    @property
    def _place(self):
        keys = {"ALPACA_PAPER_API_KEY": API_KEY, "ALPACA_PAPER_SECRET_KEY": SECRET_KEY, "OMP_NUM_THREADS": "1"}
        return {"cwd": self.path, "env": os.environ | keys, "start_new_session": True}

    def kill(self):
        if self.process.poll() is not None:
            return
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def paper_service(project_path, path):
    """A paper account whose session goes on, beside a simulated one and one by statements; its service runs."""
    three_accounts(project_path, path)
    simulated(path)
    by_statements(path)
    with at_broker(path, closes=False) as (server, exchange):
        market = path / f"data/markets/alpaca-rehearsal-{server.port}"
        file = market / "02_intermediate/instruments.parquet"
        named = pd.read_parquet(file)
        named.loc[named["instrument"] == "AAA", ["name", "sector"]] = HOSTILE
        named.to_parquet(file)
        service = PaperService(path, server.url)
        service.start()
        yield SimpleNamespace(
            service=service,
            command=service.command,
            url=service.url,
            exchange=exchange,
            path=path,
            market=market,
            account=path / f"data/accounts/paper-rehearsal-{server.port}",
        )
        service.kill()


@contextmanager
def pages_of(browser):
    """Open pages; what their console says and where their requests go is kept."""
    contexts = []

    def open_page(url, size=WIDE, scheme="light", clock=False):
        context = browser.new_context(viewport=size, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        if clock:
            page.clock.install()
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()


def token_of(page):
    """Return the token of the forms of a page."""
    return re.search(r'name="form_token" value="([0-9a-f]{64})"', page.text)[1]
