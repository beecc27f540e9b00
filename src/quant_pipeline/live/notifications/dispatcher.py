"""Hand messages to services, each channel in a thread of its own; leave out repeats, keep longest what matters most."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from quant_pipeline.common.exceptions import QuantPipelineError
from quant_pipeline.live.notifications.kept import Kept, KeptMessages
from quant_pipeline.live.notifications.messages import LONGEST, Message, without_secrets
from quant_pipeline.live.notifications.ways import Way
from quant_pipeline.live.parameters import Level, NotificationParameters

logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""So often a message that only informs is tried; one that matters more is tried on, for `KEPT_SECONDS`."""
PAUSE = 2.0
"""Seconds between the first attempts at one message; each further pause is twice as long."""
LONGEST_PAUSE = 300.0
MAX_DOUBLINGS = 30
"""Of a pause; a thousand would exceed every number."""
KEPT_SECONDS = 86_400.0
LATE_SECONDS = 60.0
"""A message that is delivered later than this says so."""


@dataclass(eq=False)
class Waiting:
    """A message that waits for a service.

    Attributes
    ----------
    message
        The message.
    since, at
        Since when, by a clock that only goes on, and as seconds since 1970, which a later process understands.
    then
        What to call when it is taken; its sender then reports it again after a restart, and it is kept in no file.
    attempts, next_at
        How often it was tried, and when it is tried again.
    """

    message: Message
    since: float
    at: float
    then: Callable[[], None] | None = None
    attempts: int = 0
    next_at: float = 0.0

    @property
    def matters(self) -> bool:
        """Whether it is tried on until it is taken."""
        return self.message.level is not Level.INFO


class Dispatcher:
    """Takes messages at once; what its channels cannot deliver now they deliver later.

    Parameters
    ----------
    ways
        Channels.
    rules
        How many may wait at a channel, and how often one repeats.
    secrets
        What stands in no message.
    clock, pause
        Seconds that only go on, and the pause after a first attempt.
    kept
        Where warnings and alerts are kept that no service has taken; those of the process before are delivered first.
        None keeps them in memory only.
    """

    def __init__(
        self,
        ways: Sequence[Way],
        rules: NotificationParameters,
        secrets: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
        pause: float = PAUSE,
        kept: KeptMessages | None = None,
    ) -> None:
        self._rules, self._secrets, self._clock, self._kept = rules, tuple(secrets), clock, kept
        self._sent_at: dict[tuple[str, str], float] = {}
        self._posts: list[Post] = []
        found, names = [] if kept is None else kept.read(), {way.name for way in ways}
        for way in ways:
            mine = [each for each in found if each.channel == way.name]
            self._posts.append(Post(way, rules.max_waiting, pause, self._keep, mine))
        for channel, at, message in found:
            if channel in names and time.time() - at < KEPT_SECONDS:
                # It is on its way; one that is given up must not keep away the same alert when it is raised again.
                self._sent_at[message.title, message.text] = clock()
            if channel not in names:
                logger.warning("there is no channel '%s' any more: '%s' was not delivered", channel, message.title)
        for post in self._posts:
            post.start()

    @property
    def delivered(self) -> int:
        """How many messages a service has taken."""
        return sum(post.delivered for post in self._posts)

    @property
    def undelivered(self) -> int:
        """How many messages were given up because no service took them."""
        return sum(post.undelivered for post in self._posts)

    @property
    def dropped(self) -> int:
        """How many messages were given up for want of room."""
        return sum(post.dropped for post in self._posts)

    @property
    def waiting(self) -> int:
        """How many messages wait for a service."""
        return sum(post.waiting for post in self._posts)

    def require_channels(self) -> None:
        """Wait until every channel is prepared: their threads do it while the process starts.

        Raises
        ------
        ConfigurationError
            When no service knows the address of a channel.
        """
        for post in self._posts:
            post.require()

    def send(self, message: Message, then: Callable[[], None] | None = None) -> None:
        """Take a message; this never waits for a service, and never fails.

        Parameters
        ----------
        message
            The message.
        then
            Called, in the thread of a channel, as soon as its service has taken it; at once when no channel is for it.
            Who gives it sends the message again after a restart.
        """
        # Half of a pair of UTF-16, as JSON of a broker may hold, is text for no service.
        parts = (part.encode("utf-8", "replace").decode() for part in (message.title, message.text))
        title, text = (without_secrets(part, self._secrets) for part in parts)
        clean = replace(message, title=title, text=text[:LONGEST])
        if self._is_repeated(clean):
            return
        logger.log(logging.INFO if clean.level is Level.INFO else logging.WARNING, "%s", clean.title)
        posts = [post for post in self._posts if post.way.channel.takes(clean.topic, clean.level)]
        for post in posts:
            post.take(Waiting(clean, time.monotonic(), time.time(), then))
        if posts:
            self._keep()
        elif then is not None:
            then()

    def flush(self, seconds: float) -> bool:
        """Wait until every message is delivered or given up, for so long at most; return whether none waits."""
        deadline = time.monotonic() + seconds
        return all(post.flush(deadline - time.monotonic()) for post in self._posts)

    def close(self, seconds: float) -> None:
        """Deliver what waits, for so long at most, and stop; warnings and alerts are kept for the next process."""
        self.flush(seconds)
        for post in self._posts:
            post.close()
        self._keep()

    def _keep(self) -> None:
        """Write what waits and has to outlive the process."""
        if self._kept is not None:
            self._kept.write(lambda: [each for post in self._posts for each in post.kept()])

    def _is_repeated(self, message: Message) -> bool:
        key, now = (message.title, message.text), self._clock()
        oldest = now - 60 * self._rules.repeat_minutes
        self._sent_at = {sent: at for sent, at in self._sent_at.items() if at > oldest}
        if key in self._sent_at:
            return True
        self._sent_at[key] = now
        return False


class Post:
    """The messages of one channel, and the thread that delivers them: a service that hangs keeps no other one waiting.

    Parameters
    ----------
    way
        The channel.
    room
        How many messages may wait.
    pause
        Seconds after a first attempt.
    keep
        Called when something else waits than before.
    kept
        What waited for this channel when the process before ended.

    Attributes
    ----------
    delivered, undelivered, dropped
        See `Dispatcher`.
    """

    def __init__(self, way: Way, room: int, pause: float, keep: Callable[[], None], kept: Sequence[Kept]) -> None:
        self.way, self._room, self._pause, self._note = way, room, pause, keep
        self.delivered = self.undelivered = self.dropped = 0
        now, today = time.monotonic(), time.time()
        self._waiting = [Waiting(each.message, now - max(today - each.at, 0.0), each.at) for each in kept]
        self._current: Waiting | None = None
        # What a wrong address keeps from leaving: a process with a right one delivers what matters of it.
        self._left: list[Waiting] = []
        self._changed = threading.Condition()
        self._is_closing = False
        self._prepared = threading.Event()
        self._fault: QuantPipelineError | None = None

    def start(self) -> None:
        """Begin to deliver."""
        # Not waited for at the end of the process: a service that hangs holds nothing up.
        threading.Thread(target=self._work, name=f"notifications {self.way.name}", daemon=True).start()

    @property
    def waiting(self) -> int:
        """How many messages wait, the one that is being delivered included."""
        with self._changed:
            return len(self._waiting) + (self._current is not None)

    def require(self) -> None:
        """Wait until the channel is prepared, and raise what is wrong with its address."""
        self._prepared.wait()
        if self._fault is not None:
            raise self._fault

    def kept(self) -> list[Kept]:
        """Return what has to outlive the process: warnings and alerts that no sender sends again."""
        with self._changed:
            waiting = [*self._left, *self._waiting, *([] if self._current is None else [self._current])]
        return [Kept(self.way.name, each.at, each.message) for each in waiting if each.matters and each.then is None]

    def take(self, waiting: Waiting) -> None:
        """Take a message; of too many, the oldest that matters least is dropped, and of a wrong address every one."""
        with self._changed:
            if self._fault is not None:
                self.undelivered += 1
                if waiting.matters and waiting.then is None:
                    self.dropped += len(self._left) >= self._room
                    self._left = [*self._left, waiting][-self._room :]
                return
            if len(self._waiting) >= self._room:
                dropped = min(self._waiting, key=lambda other: other.message.level)
                self._waiting.remove(dropped)
                self.dropped += 1
            self._waiting.append(waiting)
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until nothing waits, for so long at most; return whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and self._current is None, max(seconds, 0.0))

    def close(self) -> None:
        """Stop; what waits and only informs is given up."""
        with self._changed:
            self._is_closing = True
            if self._waiting:
                words = "%d messages of the channel '%s' were not delivered, %d of them wait for the next start"
                matter = sum(waiting.matters for waiting in self._waiting)
                logger.warning(words, len(self._waiting), self.way.name, matter)
            self._changed.notify_all()

    def _work(self) -> None:
        try:
            self.way.prepare()
        except QuantPipelineError as error:
            with self._changed:
                self._fault = error
                self.undelivered += len(self._waiting)
                self._left, self._waiting = self._waiting, []
                self._changed.notify_all()
            self._note()
            return
        finally:
            self._prepared.set()
        while (waiting := self._next()) is not None:
            is_taken = self._deliver(waiting)
            if is_taken and waiting.then is not None:
                waiting.then()
            with self._changed:
                self._current = None
                if is_taken:
                    self.delivered += 1
                    # The service is there again: what it has not taken before need not wait.
                    for other in self._waiting:
                        other.next_at = 0.0
                else:
                    self._keep(waiting)
                self._changed.notify_all()
            self._note()

    def _next(self) -> Waiting | None:
        """Wait for a message whose time has come; None at the end."""
        with self._changed:
            while not self._is_closing:
                now = time.monotonic()
                ready = next((waiting for waiting in self._waiting if waiting.next_at <= now), None)
                if ready is not None:
                    self._waiting.remove(ready)
                    self._current = ready
                    return ready
                self._changed.wait(min((waiting.next_at - now for waiting in self._waiting), default=None))
        return None

    def _deliver(self, waiting: Waiting) -> bool:
        waiting.attempts += 1
        message, late = waiting.message, time.monotonic() - waiting.since
        if late > LATE_SECONDS:
            message = replace(message, text=f"{message.text}\n(delivered {late / 60:.0f} minutes late)".strip())
        try:
            return self.way.deliver(message)
        except Exception as error:  # noqa: BLE001 - libraries of services raise what they like
            logger.debug("channel %s: %s", self.way.name, type(error).__name__)
            return False

    def _keep(self, waiting: Waiting) -> None:
        """Keep a message for another attempt, or give it up."""
        now, matters = time.monotonic(), waiting.matters
        if waiting.attempts == ATTEMPTS:
            # The address stands in no log, and neither does what the service said of it.
            words = "the channel '%s' does not take messages: '%s' was not delivered%s"
            logger.warning(words, self.way.name, waiting.message.title, " yet" if matters else "")
        if (waiting.attempts >= ATTEMPTS and not matters) or now - waiting.since > KEPT_SECONDS:
            self.undelivered += 1
            return
        doublings = min(waiting.attempts - 1, MAX_DOUBLINGS)
        waiting.next_at = now + min(self._pause * 2**doublings, LONGEST_PAUSE)
        self._waiting.append(waiting)
