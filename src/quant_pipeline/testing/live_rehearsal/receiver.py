"""A message service on this machine that can be away or hang."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

HANGS = 3.0
"""Seconds for which a hanging service does not answer."""


class Receiver(ThreadingHTTPServer):
    """Takes what apprise posts to a ``json://`` address.

    Attributes
    ----------
    titles
        Titles of the messages that were taken, in order.
    texts
        Everything that was said, to look for secrets in it.
    mood
        ``up``, ``down`` or ``hangs``.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.titles: list[str] = []
        self.texts: list[str] = []
        self.mood = "up"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that did not wait for an answer: this service hangs on purpose."""

    @property
    def address(self) -> str:
        """Address of the channel, with a token in it."""
        return f"json://user:{TOKEN}@127.0.0.1:{self.server_address[1]}/"


TOKEN = "rehearsal-token-0123456789"  # noqa: S105 - it opens nothing


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = cast(Receiver, self.server)
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if server.mood == "hangs":
            time.sleep(HANGS)
        if server.mood != "up":
            self.send_error(503)
            return
        server.titles.append(body["title"])
        server.texts.append(json.dumps(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""
