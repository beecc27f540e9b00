"""Brokers and plans for the scenarios with faults."""

import pandas as pd

from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.chaos.broker import FaultyBroker
from quant_pipeline.trading.orders.plans import record_plan


class Still(FaultyBroker):
    """Nothing executes by itself."""

    def _work(self, order):
        pass


def broker_of(kind):
    return kind(rehearsal.CASH, rehearsal.HOLDINGS, rehearsal.PRICES, rehearsal.OPENED)


def plan_of(*orders, **options):
    table = pd.DataFrame(orders, columns=["instrument", "side", "quantity", "reference_price", "reason"])
    return lambda events: record_plan(events, table, rehearsal.DECIDED, rehearsal.SESSION, **options)
