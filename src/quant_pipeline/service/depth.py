"""How deep JSON nests, counted while it arrives."""

from __future__ import annotations

import re

import numpy as np

from quant_pipeline.service.problems import Refused

ESCAPED = re.compile(rb"\\.", re.DOTALL)
"""A sign within a string that a backslash stands before; outside of strings no JSON has one."""
QUOTE, OPENING, CLOSING = ord('"'), b"[{", b"]}"


class Depth:
    """How deep brackets nest in a text of JSON that is given in parts; those within strings do not count."""

    def __init__(self) -> None:
        self._open, self._in_string, self._rest = 0, False, b""

    def take(self, part: bytes) -> int:
        """Take the next part, and return how deep it goes.

        Raises
        ------
        Refused
            422 for another encoding than UTF-8: quotes and brackets would have other bytes.
        """
        if b"\0" in part:
            text = "the body is neither JSON in UTF-8 nor a form"
            raise Refused(422, "another encoding", text, "Send JSON in UTF-8, as every client does by itself.")
        rest = ESCAPED.sub(b"", self._rest + part)
        self._rest = b"\\" if rest.endswith(b"\\") else b""
        signs = np.frombuffer(rest, np.uint8)
        quotes = np.cumsum(signs == QUOTE, dtype=np.int64) + self._in_string
        outside = quotes % 2 == 0
        opened, closed = (np.isin(signs, np.frombuffer(kinds, np.uint8)) & outside for kinds in (OPENING, CLOSING))
        levels = self._open + np.cumsum(opened.astype(np.int8) - closed.astype(np.int8), dtype=np.int64)
        if len(signs):
            self._open, self._in_string = int(levels[-1]), bool(quotes[-1] % 2)
        return int(levels.max(initial=0))
