"""What every connection to Alpaca obeys: time limits, a request budget, and no repeated requests.

alpaca-py 0.44 repeats any request after 429 and 504, waits for ever and follows any address. All three are
closed here, on the session of the unmodified client; which addresses are allowed is in `alpaca_addresses`.
"""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import requests
from alpaca.common.rest import RESTClient
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from quant_pipeline.common.exceptions import QuantPipelineError
from quant_pipeline.common.loopback import is_loopback

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60.0
TROUBLED = (429, 500, 502, 503, 504)


class RequestBudgetError(QuantPipelineError):
    """The request budget is used up for longer than anybody wants to wait.

    Attributes
    ----------
    seconds
        For how long.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the request budget of Alpaca is used up for {seconds:.0f} s; try again then")
        self.seconds = seconds


def describe_failure(error: Exception) -> str:
    """Return in a few words why a request has no answer, without its address, which fills a screen.

    Parameters
    ----------
    error
        Of `requests`, around what urllib3 says: ``HTTPSConnection(host='…', port=443): Failed to resolve …``.
    """
    inner = error.args[0] if error.args else None
    reason = getattr(inner, "reason", None) or inner or error
    return re.sub(r"^\w+\(host=.*?\): ", "", str(reason)) or type(error).__name__


class RateBudget:
    """At most so many requests in any minute.

    Parameters
    ----------
    requests_a_minute
        How many.
    longest_wait
        Seconds after which waiting is given up.
    now, sleep
        Monotonic clock and pause, in seconds.
    """

    def __init__(
        self,
        requests_a_minute: int,
        longest_wait: float,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._largest = requests_a_minute
        self._longest_wait = longest_wait
        self._now = now
        self._sleep = sleep
        self._times: deque[float] = deque()
        self._closed_until = 0.0

    def take(self, may_wait: bool = True) -> None:
        """Wait for the right to make one request, or refuse at once where it may not wait.

        Raises
        ------
        RequestBudgetError
            When it would take too long.
        """
        wait = self._wait()
        if wait > (self._longest_wait if may_wait else 0):
            raise RequestBudgetError(wait)
        if wait > 0:
            logger.info("Waiting %.1f s for the request budget of Alpaca.", wait)
            self._sleep(wait)
        self._forget_old()
        self._times.append(self._now())

    def close_for(self, seconds: float) -> None:
        """Let nothing through for so long, because the broker said so."""
        self._closed_until = max(self._closed_until, self._now() + seconds)

    def _wait(self) -> float:
        self._forget_old()
        full = self._times[0] + WINDOW_SECONDS if len(self._times) >= self._largest else 0.0
        return max(full, self._closed_until) - self._now()

    def _forget_old(self) -> None:
        while self._times and self._now() - self._times[0] >= WINDOW_SECONDS:
            self._times.popleft()


class BoundedAdapter(HTTPAdapter):
    """Give every request a time limit and a place in the budget.

    Parameters
    ----------
    timeout
        Seconds to connect and to read.
    budget
        Budget of the account.
    repeats, pause
        How often a question (GET, never anything else) that fails is asked again, and the first pause; it doubles.
    """

    def __init__(self, timeout: tuple[float, float], budget: RateBudget, repeats: int = 0, pause: float = 0.0) -> None:
        policy = Retry(
            total=repeats,
            backoff_factor=pause,
            status_forcelist=TROUBLED,
            allowed_methods=["GET"],
            raise_on_status=False,
        )
        super().__init__(max_retries=policy)
        self._timeout = timeout
        self._budget = budget

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send, within the limits."""
        # What was checked before an order is sent must still be true when it does: an order waits for nothing.
        self._budget.take(may_wait=request.method != "POST")
        response = super().send(request, **(options | {"timeout": self._timeout}))
        if response.headers.get("X-RateLimit-Remaining") == "0" or response.status_code == 429:
            self._budget.close_for(seconds_to_reset(response.headers))
        return response


def seconds_to_reset(headers: Mapping[str, str]) -> float:
    """Return how long a closed budget stays closed: ``Retry-After`` or ``X-RateLimit-Reset``, else a minute."""
    for name, since in (("Retry-After", 0.0), ("X-RateLimit-Reset", time.time())):
        text = headers.get(name, "")
        if text.isdigit():
            return min(max(float(text) - since, 0.0), WINDOW_SECONDS)
    return WINDOW_SECONDS


def restrain(client: RESTClient, adapter: HTTPAdapter, address: str) -> None:
    """Close the traps of an alpaca-py client: no repeated requests, limits on each one, no proxy to this machine."""
    client._retry = 0
    session = client._session
    if is_loopback(address):
        session.trust_env = False
        session.mount("http://", adapter)
    else:
        session.adapters.pop("http://", None)
    session.mount("https://", adapter)
