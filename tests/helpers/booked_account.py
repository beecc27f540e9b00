"""An account whose broker's records are read, translated and booked, without a network between."""

from dataclasses import replace
from decimal import Decimal

import pandas as pd

from quant_pipeline.trading.activities.alpaca import read_activity
from quant_pipeline.trading.activities.quarantine import effects_of
from quant_pipeline.trading.activities.translation import Translator
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.events import Event, EventKind

FRIDAY = pd.Timestamp("2025-01-03")


class BookedAccount:
    """Books what a broker's feed says, reading by reading, as collection does."""

    def __init__(self, cash="10000"):
        self.state, self.events, self.seen, self.names = AccountState(), [], set(), {}
        self.append([Event(FRIDAY, EventKind.ACCOUNT_OPENED, "open", {"account": "acc", "cash": cash})])

    def append(self, events):
        for event in events:
            assert event.key not in self.seen, f"{event.key} is booked twice"
            self.state.apply(event)
            self.events.append(event)
            self.seen.add(event.key)

    def hold(self, instrument, quantity, cost):
        facts = {"instrument": instrument, "quantity": str(quantity), "cost": str(cost)}
        self.append([Event(FRIDAY, EventKind.TRANSFER, f"opening:{instrument}", facts)])
        return self

    def read(self, *records):
        """Book the records of one reading, and the same reading once more, which changes nothing."""
        for _ in range(2):
            translator = Translator(lambda _: None, self._find, self._session_of, self.state)
            new = translator.events([self._complete(read_activity(record)) for record in records])
            self.append(new)
        assert new == []
        assert self.state.discrepancy == 0
        return self

    def _complete(self, activity):
        """Name an amended fill by its whole id, as the adapter does with another question to the broker."""
        self.names[activity.activity_id.partition("::")[2]] = activity.activity_id
        if activity.raw["activity_type"] != "FILL" or activity.supersedes is None:
            return activity
        return replace(activity, supersedes=self.names.get(activity.supersedes, activity.supersedes))

    def _find(self, keys):
        wanted = set(keys)
        return {event.key: event for event in self.events if event.key in wanted}

    def _session_of(self, date):
        return date + pd.offsets.BDay(0)

    def lots(self, instrument):
        return [(lot.quantity, lot.cost, f"{lot.session:%Y-%m-%d}") for lot in self.state.positions[instrument].lots]

    def shares(self):
        """All shares, also those that are carried or explained by rows in quarantine."""
        held = {name: position.quantity for name, position in self.state.positions.items()}
        for moved in (self.state.foreign, effects_of(self.state)[1]):
            for name, quantity in moved.items():
                held[name] = held.get(name, Decimal(0)) + quantity
        return {name: quantity for name, quantity in held.items() if quantity}

    def cash(self):
        return self.state.cash + effects_of(self.state)[0]

    def codes(self):
        return [event.payload["code"] for event in self.events if event.kind is EventKind.ALERT_RAISED]
