"""What the ledger has recorded since the last look, as messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.listing import first_of
from quant_pipeline.live.notifications.messages import Message
from quant_pipeline.live.parameters import Level, Topic
from quant_pipeline.trading.ledger.events import Event, EventKind

SHOWN = 20
"""Lines of a message; it ends with the number of those that are left out."""
ALERTS = (EventKind.ALERT_RAISED, EventKind.ACTIVITY_QUARANTINED)


def messages_of(account: str, events: Sequence[Event]) -> Iterator[Message]:
    """Report fills, of orders that were denied or rejected, of alerts, and of changes of the trading state.

    Parameters
    ----------
    account
        Name of the account.
    events
        New events of the ledger, in order.
    """
    fills = [event for event in events if event.kind is EventKind.FILL]
    if fills:
        listed = _listed(account, f"trades --last {len(fills)}", map(_fill, fills))
        yield Message(Topic.FILLS, Level.INFO, f"{account}: {_counted(fills, 'fill')}", listed)
    denied = [event for event in events if event.kind in (EventKind.ORDER_DENIED, EventKind.ORDER_REJECTED)]
    if denied:
        title = f"{account}: {_counted(denied, 'order')} denied or rejected"
        yield Message(Topic.DENIALS, Level.WARNING, title, _listed(account, "orders", map(_denial, denied)))
    for event in events:
        if event.kind is EventKind.TRADING_STATE_CHANGED:
            state, facts = event.payload["state"], event.payload
            level = Level.INFO if state == "active" else Level.ALERT
            yield Message(Topic.ALERTS, level, f"{account} is {state}", f"{facts['message']} ({facts['code']})")
        elif event.kind in ALERTS:
            yield Message(
                Topic.ALERTS, Level.ALERT, f"{account}: {event.payload.get('code', event.kind)}", _alert(event)
            )


def _fill(event: Event) -> str:
    facts = event.payload
    return f"{facts['side']} {facts['quantity']} {facts['instrument']} at {facts['price']}"


def _denial(event: Event) -> str:
    facts = event.payload
    order = facts.get("order")
    named = f"{order['side']} {order['quantity']} {order['instrument']}" if order else facts["client_order_id"]
    return f"{named}: {facts.get('message', '')}"


def _alert(event: Event) -> str:
    facts = event.payload
    return str(facts.get("message") or facts.get("problem") or event.key)


def _counted(events: Sequence[Event], word: str) -> str:
    return f"{len(events)} {word}{'' if len(events) == 1 else 's'}"


def _listed(account: str, command: str, lines: Iterator[str]) -> str:
    every = in_environment(f"`kedro account {command}`", account)
    return first_of(lines, "\n", whole=every, limit=SHOWN)
