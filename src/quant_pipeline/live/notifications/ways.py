"""What delivers to the channels of an account: services that apprise knows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.live.notifications.messages import Message
from quant_pipeline.live.parameters import Channel, Level, NotificationParameters

if TYPE_CHECKING:
    from apprise import Apprise

Deliver = Callable[[Message], bool]
"""Hands a message to a service, and returns whether it took it."""


@dataclass(frozen=True)
class Way:
    """A channel with what delivers to it; ``prepare`` makes that, and raises what is wrong with its address."""

    name: str
    channel: Channel
    deliver: Deliver
    prepare: Callable[[], object] = lambda: None


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
