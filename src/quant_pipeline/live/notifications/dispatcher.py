"""Hand messages to services in a thread of its own; leave out repeats, drop the least important if too many wait."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
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
PAUSE = 2.0
"""Seconds between two attempts at one message; the second pause is twice as long."""


@dataclass(frozen=True)
class Way:
    """A channel with what delivers to it; ``prepare`` makes that, and raises what is wrong with its address."""

    name: str
    channel: Channel
    deliver: Deliver
    prepare: Callable[[], object] = lambda: None


class Dispatcher:
    """Takes messages at once and delivers them by and by, the ones that matter most are kept longest.

    Parameters
    ----------
    ways
        Channels.
    rules
        How many may wait, and how often one repeats.
    secrets
        What stands in no message.
    clock, pause
        Seconds that only go on, and what waits between attempts.

    Attributes
    ----------
    delivered, undelivered, dropped
        How many messages a service has taken, has not, and were given up for want of room.
    """

    def __init__(
        self,
        ways: Sequence[Way],
        rules: NotificationParameters,
        secrets: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
        pause: float = PAUSE,
    ) -> None:
        self._ways, self._rules, self._secrets = ways, rules, tuple(secrets)
        self._clock, self._pause = clock, pause
        self._waiting: deque[tuple[Way, Message, Callable[[], None]]] = deque()
        self._changed = threading.Condition()
        self._sent_at: dict[tuple[str, str], float] = {}
        self._closing = threading.Event()
        self._prepared = threading.Event()
        self._fault: QuantPipelineError | None = None
        self._busy = False
        self.delivered = self.undelivered = self.dropped = 0
        # Not waited for at the end of the process: a service that hangs holds nothing up.
        self._thread = threading.Thread(target=self._work, name="notifications", daemon=True)
        self._thread.start()

    def require_channels(self) -> None:
        """Wait until every channel is prepared: the thread of the services does it while the process starts.

        Raises
        ------
        ConfigurationError
            When no service knows the address of a channel.
        """
        self._prepared.wait()
        if self._fault is not None:
            raise self._fault

    def send(self, message: Message, then: Callable[[], None] = lambda: None) -> None:
        """Take a message; this never waits for a service, and never fails.

        Parameters
        ----------
        message
            The message.
        then
            Called, in the thread of the services, as soon as one has taken it; at once when no channel is for it.
        """
        title, text = (without_secrets(part, self._secrets) for part in (message.title, message.text))
        clean = replace(message, title=title, text=text[:LONGEST])
        if self._is_repeated(clean):
            return
        logger.log(logging.INFO if clean.level is Level.INFO else logging.WARNING, "%s", clean.title)
        with self._changed:
            ways = [way for way in self._ways if way.channel.takes(clean.topic, clean.level)]
            for way in ways:
                self._make_room()
                self._waiting.append((way, clean, then))
            self._changed.notify_all()
        if not ways:
            then()

    def flush(self, seconds: float) -> bool:
        """Wait until every message is delivered or given up, for so long at most; return whether none waits."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, seconds)

    def close(self, seconds: float) -> None:
        """Deliver what waits, for so long at most, and stop."""
        self.flush(seconds)
        self._closing.set()
        with self._changed:
            self._changed.notify_all()

    def _is_repeated(self, message: Message) -> bool:
        key, now = (message.title, message.text), self._clock()
        oldest = now - 60 * self._rules.repeat_minutes
        self._sent_at = {sent: at for sent, at in self._sent_at.items() if at > oldest}
        if key in self._sent_at:
            return True
        self._sent_at[key] = now
        return False

    def _make_room(self) -> None:
        if len(self._waiting) >= self._rules.max_waiting:
            least = min(self._waiting, key=lambda waiting: waiting[1].level)
            self._waiting.remove(least)
            self.dropped += 1

    def _work(self) -> None:
        try:
            for way in self._ways:
                way.prepare()
        except QuantPipelineError as error:
            self._fault = error
        finally:
            self._prepared.set()
        while not self._closing.is_set():
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting) or self._closing.is_set())
                if not self._waiting:
                    continue
                way, message, then = self._waiting.popleft()
                self._busy = True
            is_taken = self._deliver(way, message)
            if is_taken:
                then()
            with self._changed:
                self._busy = False
                self.delivered += is_taken
                self.undelivered += not is_taken
                self._changed.notify_all()

    def _deliver(self, way: Way, message: Message) -> bool:
        for attempt in range(ATTEMPTS):
            try:
                if way.deliver(message):
                    return True
            except Exception as error:  # noqa: BLE001 - libraries of services raise what they like
                logger.debug("channel %s: %s", way.name, type(error).__name__)
            if self._closing.wait(self._pause * 2**attempt):
                break
        # The address stands in no log, and neither does what the service said of it.
        logger.warning("the channel '%s' does not take messages: '%s' was not delivered", way.name, message.title)
        return False


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
        from apprise import NotifyType

        kinds = {Level.INFO: NotifyType.INFO, Level.WARNING: NotifyType.WARNING, Level.ALERT: NotifyType.FAILURE}
        body, kind = message.text or message.title, kinds[message.level]
        return bool(self._apprise.notify(body=body, title=message.title, notify_type=kind))

    @cached_property
    def _apprise(self) -> Apprise:
        from apprise import Apprise

        # Both write addresses.
        logging.getLogger("apprise").setLevel(logging.CRITICAL)
        logging.getLogger("urllib3").setLevel(logging.INFO)
        limits = f"cto={self._seconds:g}&rto={self._seconds:g}"
        service = Apprise()
        if not service.add(f"{self._address}{'&' if '?' in self._address else '?'}{limits}"):
            words = f"the address of the channel `{self._name}` is none that apprise knows"
            raise ConfigurationError(f"{words}; {_remedy(self._name)}")
        return service


def _remedy(name: str) -> str:
    return f"write `{name}: <URL of apprise>` under `notifications:` into credentials.yml of the environment"
