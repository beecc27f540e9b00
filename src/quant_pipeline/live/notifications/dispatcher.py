"""Hand messages to services, each channel in a thread of its own; leave out repeats, keep longest what matters most."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from quant_pipeline.common.exceptions import ConfigurationError, QuantPipelineError
from quant_pipeline.live.notifications.messages import LONGEST, Message, without_secrets
from quant_pipeline.live.parameters import Channel, Level, NotificationParameters

if TYPE_CHECKING:
    from apprise import Apprise

logger = logging.getLogger(__name__)

Deliver = Callable[[Message], bool]
"""Hands a message to a service, and returns whether it took it."""
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


@dataclass(frozen=True)
class Way:
    """A channel with what delivers to it; ``prepare`` makes that, and raises what is wrong with its address."""

    name: str
    channel: Channel
    deliver: Deliver
    prepare: Callable[[], object] = lambda: None


@dataclass(eq=False)
class Waiting:
    """A message that waits for a service: since when, what to call when it is taken, the attempts, and the next one."""

    message: Message
    since: float
    then: Callable[[], None]
    attempts: int = 0
    next_at: float = 0.0


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
    """

    def __init__(
        self,
        ways: Sequence[Way],
        rules: NotificationParameters,
        secrets: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
        pause: float = PAUSE,
    ) -> None:
        self._rules, self._secrets, self._clock = rules, tuple(secrets), clock
        self._sent_at: dict[tuple[str, str], float] = {}
        self._posts = [Post(way, rules.max_waiting, pause) for way in ways]

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

    def send(self, message: Message, then: Callable[[], None] = lambda: None) -> None:
        """Take a message; this never waits for a service, and never fails.

        Parameters
        ----------
        message
            The message.
        then
            Called, in the thread of a channel, as soon as its service has taken it; at once when no channel is for it.
        """
        title, text = (without_secrets(part, self._secrets) for part in (message.title, message.text))
        clean = replace(message, title=title, text=text[:LONGEST])
        if self._is_repeated(clean):
            return
        logger.log(logging.INFO if clean.level is Level.INFO else logging.WARNING, "%s", clean.title)
        posts = [post for post in self._posts if post.way.channel.takes(clean.topic, clean.level)]
        for post in posts:
            post.take(clean, then)
        if not posts:
            then()

    def flush(self, seconds: float) -> bool:
        """Wait until every message is delivered or given up, for so long at most; return whether none waits."""
        deadline = time.monotonic() + seconds
        return all(post.flush(deadline - time.monotonic()) for post in self._posts)

    def close(self, seconds: float) -> None:
        """Deliver what waits, for so long at most, and stop."""
        self.flush(seconds)
        for post in self._posts:
            post.close()

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

    Attributes
    ----------
    delivered, undelivered, dropped
        See `Dispatcher`.
    """

    def __init__(self, way: Way, room: int, pause: float) -> None:
        self.way, self._room, self._pause = way, room, pause
        self.delivered = self.undelivered = self.dropped = 0
        self._waiting: list[Waiting] = []
        self._current: Waiting | None = None
        self._changed = threading.Condition()
        self._is_closing = False
        self._prepared = threading.Event()
        self._fault: QuantPipelineError | None = None
        # Not waited for at the end of the process: a service that hangs holds nothing up.
        threading.Thread(target=self._work, name=f"notifications {way.name}", daemon=True).start()

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

    def take(self, message: Message, then: Callable[[], None]) -> None:
        """Take a message; of too many, the oldest that matters least is dropped, and of a wrong address every one."""
        with self._changed:
            if self._fault is not None:
                self.undelivered += 1
                return
            if len(self._waiting) >= self._room:
                dropped = min(self._waiting, key=lambda waiting: waiting.message.level)
                self._waiting.remove(dropped)
                self.dropped += 1
            self._waiting.append(Waiting(message, time.monotonic(), then))
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until nothing waits, for so long at most; return whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and self._current is None, max(seconds, 0.0))

    def close(self) -> None:
        """Stop; what waits is given up."""
        with self._changed:
            self._is_closing = True
            if self._waiting:
                logger.warning("%d messages of the channel '%s' were not delivered", len(self._waiting), self.way.name)
            self._changed.notify_all()

    def _work(self) -> None:
        try:
            self.way.prepare()
        except QuantPipelineError as error:
            with self._changed:
                self._fault = error
                self.undelivered += len(self._waiting)
                self._waiting.clear()
                self._changed.notify_all()
            return
        finally:
            self._prepared.set()
        while (waiting := self._next()) is not None:
            is_taken = self._deliver(waiting)
            if is_taken:
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
        now, matters = time.monotonic(), waiting.message.level is not Level.INFO
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


def ways_of(rules: NotificationParameters, addresses: Mapping[str, str | None]) -> list[Way]:
    """Make what delivers to the channels of an account; `Way.prepare` looks whether a service knows the address.

    Parameters
    ----------
    rules
        The ``notifications`` block.
    addresses
        The entry ``notifications`` of the credentials: a URL of apprise by the name of its channel.

    Raises
    ------
    ConfigurationError
        When a channel has no address.
    """
    ways = []
    for name, channel in rules.channels.items():
        address = addresses.get(name)
        if not address:
            raise ConfigurationError(f"the channel `{name}` of notifications.channels has no address; {_remedy(name)}")
        service = _Service(name, address, rules.timeout_seconds)
        ways.append(Way(name, channel, service.deliver, service.prepare))
    return ways


class _Service:
    """A channel of apprise; its library, which loads every service that it knows, waits until it is needed."""

    def __init__(self, name: str, address: str, seconds: float) -> None:
        self._name, self._address, self._seconds = name, address, seconds

    def prepare(self) -> None:
        """Make the service.

        Raises
        ------
        ConfigurationError
            When no service knows the address; the message does not name the address.
        """
        self._apprise  # noqa: B018 - made when it is first asked for

    def deliver(self, message: Message) -> bool:
        """Hand a message over; return whether the service took it."""
        from apprise import NotifyFormat, NotifyType

        kinds = {Level.INFO: NotifyType.INFO, Level.WARNING: NotifyType.WARNING, Level.ALERT: NotifyType.FAILURE}
        body, kind = message.text or message.title, kinds[message.level]
        # Without the format, services that show HTML take line breaks and angle brackets for theirs.
        text = NotifyFormat.TEXT
        return bool(self._apprise.notify(body=body, title=message.title, notify_type=kind, body_format=text))

    @cached_property
    def _apprise(self) -> Apprise:
        from apprise import Apprise

        # Both write addresses.
        logging.getLogger("apprise").setLevel(logging.CRITICAL)
        logging.getLogger("urllib3").setLevel(logging.INFO)
        # A service that takes short messages only gets several of them.
        settings = {"cto": f"{self._seconds:g}", "rto": f"{self._seconds:g}", "overflow": "split"}
        added = "&".join(f"{name}={value}" for name, value in settings.items() if f"{name}=" not in self._address)
        service = Apprise()
        if not service.add(f"{self._address}{'&' if '?' in self._address else '?'}{added}"):
            words = f"the address of the channel `{self._name}` is none that apprise knows"
            raise ConfigurationError(f"{words}; {_remedy(self._name)}")
        return service


def _remedy(name: str) -> str:
    return f"write `{name}: <URL of apprise>` under `notifications:` into credentials.yml of the environment"
