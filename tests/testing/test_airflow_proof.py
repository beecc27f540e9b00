"""What `make proof-airflow` judges: a wrong end of a task and another payload of an event are found."""

import pandas as pd
import pytest

from quant_pipeline.testing.airflow_proof import SESSION, facts_of_books, facts_of_tasks
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.store import Ledger

DAILY = [["quant_pipeline_daily_sim", f"task {number}", "success", 1] for number in range(7)]
ENDED = {"migrate": 0, "daily": 0, "execution": 0}


def failed(facts):
    return [what for what, _, holds in facts if not holds]


def tasks(state="success", tries=1, ended=ENDED, status=0, daily=DAILY):
    execution = ["quant_pipeline_execution_sim", "execution", state, tries]
    return failed(facts_of_tasks([*daily, execution], ended, {"daily": 0, "execution": status}))


def test_execution_ends_as_the_plain_command_does():
    assert tasks() == []
    assert tasks("skipped", status=5) == []
    assert tasks("failed", ended=ENDED | {"execution": 1}, status=3) == []


@pytest.mark.parametrize(("state", "status"), [("failed", 0), ("skipped", 0), ("success", 3), ("success", 5)])
def test_another_end_of_execution_is_found(state, status):
    assert f"state of execution, whose plain run ended with {status}" in tasks(state, status=status)


def test_an_exit_status_of_airflow_that_does_not_fit_the_plain_one_is_found():
    assert tasks(ended=ENDED | {"execution": 1}) == ["exit statuses of Airflow"]
    assert tasks("failed", status=3) == ["exit statuses of Airflow"]


def test_tries_and_tasks_of_the_day_are_counted():
    assert tasks(tries=2) == ["tries of execution"]
    assert tasks(daily=DAILY[:6]) == ["tasks of the daily run"]
    assert tasks(daily=[*DAILY[:6], [*DAILY[6][:2], "failed", 3]]) == ["tasks of the daily run"]


@pytest.fixture
def book(tmp_path):
    def write(name, orders=b"A,10", **payload):
        account = tmp_path / name / "data/accounts/sim"
        (account / "orders").mkdir(parents=True)
        (account / "orders" / f"{SESSION}.csv").write_bytes(orders)
        facts = {"client_order_id": "a", "fills": [{"quantity": 10}]} | payload
        event = Event(pd.Timestamp(SESSION), EventKind.ORDER_ACCEPTED, "a", facts)
        Ledger.at(account / "ledger.sqlite").append([event])
        return tmp_path / name

    return write


def test_payloads_of_events_are_compared(book):
    one, other = book("one"), book("other", fills=[{"quantity": 11}])
    assert failed(facts_of_books(one, book("two"))) == []
    assert failed(facts_of_books(one, other)) == ["events of the ledgers by Airflow and by kedro"]


def test_a_day_without_orders_proves_nothing(book):
    assert failed(facts_of_books(book("one", orders=b""), book("two", orders=b""))) == [
        "orders by Airflow and by kedro"
    ]
