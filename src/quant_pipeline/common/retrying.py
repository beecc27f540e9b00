"""Retry policy for read-only requests: growing pauses between attempts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tenacity import RetryCallState

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Patience:
    """How often a request is tried, and how long to wait between attempts.

    Attributes
    ----------
    attempts
        Number of times it is asked, at least 1.
    errors
        What makes another attempt worthwhile; every other error is raised at once.
    first_pause, longest_pause
        Seconds. The pause doubles from attempt to attempt, unless the error states one in its ``retry_after``.
    sleep
        Waits that many seconds.
    """

    attempts: int
    errors: tuple[type[Exception], ...]
    first_pause: float
    sleep: Callable[[float], None]
    longest_pause: float = 60.0

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """Ask until there is an answer.

        Raises
        ------
        Exception
            That of the last attempt.
        """
        # Imported when a question is asked: most commands ask none.
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

        return Retrying(
            stop=stop_after_attempt(self.attempts),
            retry=retry_if_exception_type(self.errors),
            wait=self._pause,
            sleep=self.sleep,
            reraise=True,
        )(question)

    def _pause(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        doubled = self.first_pause * 2 ** (state.attempt_number - 1)
        return float(min(getattr(error, "retry_after", doubled), self.longest_pause))
