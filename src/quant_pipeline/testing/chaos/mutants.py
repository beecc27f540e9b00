"""Deliberate mistakes against the exactly-once rules. A suite that does not notice each of them proves nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.trading.activities import translation
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders import collection, execution, risk_checks, sending
from quant_pipeline.trading.orders.journal import Journal
from quant_pipeline.trading.orders.risk_view import Verdict
from quant_pipeline.trading.orders.states import OrderState
from quant_pipeline.trading.ports import OrderRejectedError, OutcomeUnknownError


class Mutant(NamedTuple):
    """A mistake, and the faults under which it should show."""

    name: str
    mutate: Callable[[], None]
    faults: frozenset[Fault]


def _name_orders_by_chance() -> None:
    honest = sending.request_of

    def by_chance(*arguments: Any) -> Any:
        request = honest(*arguments)
        return replace(request, client_order_id=f"{request.client_order_id}-{uuid.uuid4().hex[:4]}")

    _replace(sending, "request_of", by_chance)


def _take_silence_for_refusal() -> None:
    honest = sending.post

    def post(the_desk: Any, tracked: Any) -> None:
        submit = the_desk.broker.submit

        class _Impatient:
            def submit(self, request: Any) -> Any:
                try:
                    return submit(request)
                except OutcomeUnknownError as error:
                    raise OrderRejectedError(error.message) from error

        honest(replace(the_desk, broker=_Impatient()), tracked)

    _replace(sending, "post", post)


def _send_again_under_another_name() -> None:
    def resolve(the_desk: Any) -> None:
        for tracked in the_desk.journal.book.waiting_in(OrderState.SUBMITTING):
            order = replace(tracked.order, client_order_id=f"{tracked.order.client_order_id}-again")
            sending.post(the_desk, replace(tracked, order=order))

    for module in (sending, collection):
        _replace(module, "resolve", resolve)


def _never_ask_again() -> None:
    _replace(collection, "resolve", lambda _desk: None)
    _replace(collection, "_adopt_unknown", lambda _desk, _orders: None)


def _forget_what_was_booked() -> None:
    class _Forgetful(translation.Translator):
        def _fresh(self, activities: Sequence[Any]) -> list[Any]:
            return list(activities)

        def events(self, activities: Sequence[Any], before: Sequence[Event] = ()) -> list[Event]:
            found = super().events(activities, before)
            return [replace(event, key=f"{event.key}:{uuid.uuid4().hex[:6]}") for event in found]

    _replace(collection, "Translator", _Forgetful)


def _move_the_cursor_first() -> None:
    honest = Journal.append

    def append(self: Journal, events: Sequence[Event]) -> tuple[Event, ...]:
        moves = [event for event in events if event.kind is EventKind.CURSOR_MOVED]
        rest = [event for event in events if event.kind is not EventKind.CURSOR_MOVED]
        return honest(self, moves) + honest(self, rest) if moves and rest else honest(self, events)

    _replace(Journal, "append", append)
    # The search behind the cursor would find the fills again; this mutant has forgotten that too.
    _replace(collection, "_LOOK_BACK", collection._LOOK_BACK * -1)


def _plan_anew_every_time() -> None:
    honest = execution.judge

    def judge(the_desk: Any, market: Any, signal_age: int) -> tuple[Verdict, ...]:
        mark = uuid.uuid4().hex[:4]
        plan = the_desk.journal.account.plans[the_desk.session]
        orders = tuple(replace(o, client_order_id=f"{o.client_order_id}-{mark}") for o in plan.orders)
        the_desk.journal.account.plans[the_desk.session] = replace(plan, orders=orders)
        verdicts = honest(the_desk, market, signal_age)
        the_desk.journal.account.plans[the_desk.session] = plan
        return verdicts

    _replace(rehearsal, "judge", judge)
    checks = tuple(check for check in risk_checks.CHECKS if check.__name__ != "_check_duplicate")
    _replace(risk_checks, "CHECKS", checks)


def _ask_no_limits() -> None:
    def judge(the_desk: Any, market: Any, signal_age: int) -> tuple[Verdict, ...]:
        return tuple(Verdict(verdict.order) for verdict in execution.judge(the_desk, market, signal_age))

    _replace(rehearsal, "judge", judge)
    _replace(execution, "check_orders", lambda orders, _view, _limits: tuple(map(Verdict, orders)))


def _book_in_memory_before_the_ledger() -> None:
    honest = Journal._apply

    def twice(self: Journal, events: Sequence[Event]) -> None:
        fills = [event for event in events if event.kind is EventKind.FILL]
        honest(self, events)
        for event in fills:
            self.account.apply(event)

    _replace(Journal, "_apply", twice)


def _replace(owner: Any, name: str, value: object) -> None:
    setattr(owner, name, value)


MUTANTS = (
    Mutant("orders named by chance", _name_orders_by_chance, frozenset({Fault.LOST_ANSWER})),
    Mutant("silence taken for refusal", _take_silence_for_refusal, frozenset({Fault.LOST_ANSWER})),
    Mutant("sent again under another name", _send_again_under_another_name, frozenset({Fault.LOST_ANSWER})),
    Mutant("never asks what became of an order", _never_ask_again, frozenset({Fault.LOST_REQUEST})),
    Mutant("forgets what was booked", _forget_what_was_booked, frozenset({Fault.REPEATED_ACTIVITIES})),
    Mutant("cursor outside of the transaction", _move_the_cursor_first, frozenset({Fault.PARTIAL_FILLS})),
    Mutant("plans anew every time", _plan_anew_every_time, frozenset({Fault.PARTIAL_FILLS})),
    Mutant("asks no limits", _ask_no_limits, frozenset()),
    Mutant("books in memory before the ledger", _book_in_memory_before_the_ledger, frozenset()),
)
