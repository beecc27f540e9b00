"""Deliberate mistakes against the exactly-once rules. A suite that does not notice each of them proves nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.trading.activities import records, translation
from quant_pipeline.trading.broker_records import Amendment
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders import collection, execution, risk_checks, sending
from quant_pipeline.trading.orders.desk import TradingDesk
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


def _compare_no_hours() -> None:
    _replace(sending, "hours_agree", lambda _desk: True)


def _send_superseded() -> None:
    for module in (sending, execution):
        _replace(module, "is_superseded", lambda _desk, _tracked: False)


def _join_no_parts() -> None:
    for module in (records, translation):
        _replace(module, "groups_of", lambda parts: [(part,) for part in parts])


def _take_cancellations_for_new() -> None:
    honest = records.Records._amount

    def amount(self: Any, activity: Any) -> Any:
        return honest(self, replace(activity, amendment=Amendment.NEW, supersedes=None))

    _replace(records.Records, "_amount", amount)


def _stop_at_what_cannot_be_booked() -> None:
    def put_aside(self: Any, unit: Any, session: Any, code: str, problem: str) -> None:
        raise AccountError(problem)

    _replace(translation.Translator, "_put_aside", put_aside)


def _forget_what_cannot_be_booked() -> None:
    _replace(translation.Translator, "_put_aside", lambda *_: None)


def _stay_active() -> None:
    _replace(TradingDesk, "tighten", lambda *_: None)


def _leave_out(amendment: Amendment) -> Callable[[], None]:
    def mutate() -> None:
        honest = records.Records._fill
        _replace(
            records.Records,
            "_fill",
            lambda self, activity, session: [] if activity.amendment is amendment else honest(self, activity, session),
        )

    return mutate


def _book_cash(times: int) -> Callable[[], None]:
    def mutate() -> None:
        honest = records.Records._amount

        def amount(self: Any, activity: Any) -> Any:
            value, amends = honest(self, activity)
            return times * value, amends

        _replace(records.Records, "_amount", amount)

    return mutate


def _change_fills(change: Callable[[Any], Any]) -> Callable[[], None]:
    def mutate() -> None:
        honest = records.Records._whole_fill
        _replace(
            records.Records,
            "_whole_fill",
            lambda self, activity, session: honest(self, change(activity), session),
        )

    return mutate


def _drop_trades_by_hand() -> None:
    honest = records.Records._fill

    def fill(self: Any, activity: Any, session: Any) -> Any:
        return honest(self, activity, session) if self.own_order(activity.broker_order_id) else []

    _replace(records.Records, "_fill", fill)


def _never_look_behind_the_cursor() -> None:
    _replace(collection, "_LOOK_BACK", collection._LOOK_BACK * -1)


def _infer_at_once() -> None:
    honest = collection._wait_or_infer

    def infer(desk: Any, tracked: Any, known: Any, is_poll: bool) -> None:
        desk.missing[known.client_order_id] = desk.rules.missing_fill_polls
        honest(desk, tracked, known, is_poll)

    _replace(collection, "_wait_or_infer", infer)


def _expire_nothing() -> None:
    _replace(collection, "expire_unsent", lambda _desk: None)


def _approve_what_is_denied() -> None:
    honest = execution.verdict_events

    def approve(verdicts: Sequence[Verdict], session: str, provenance: Any) -> Any:
        return honest([Verdict(verdict.order) for verdict in verdicts], session, provenance)

    _replace(rehearsal, "verdict_events", approve)
    _replace(execution, "check_orders", lambda orders, _view, _limits: tuple(map(Verdict, orders)))


def _forget_where_decisions_came_from() -> None:
    honest = execution.verdict_events
    _replace(rehearsal, "verdict_events", lambda verdicts, session, _provenance: honest(verdicts, session, {}))


def _send_the_rest_again() -> None:
    honest = sending.end

    def end(desk: Any, tracked: Any, state: Any, message: str) -> None:
        honest(desk, tracked, state, message)
        if state is OrderState.CANCELED and tracked.quantity > tracked.filled:
            request = sending.request_of(desk, tracked)
            rest = tracked.quantity - tracked.filled
            desk.broker.submit(replace(request, client_order_id=f"{request.client_order_id}-rest", quantity=rest))

    _replace(collection, "end", end)


def _change_requests(change: Callable[[Any], Any]) -> Callable[[], None]:
    def mutate() -> None:
        honest = sending.request_of
        _replace(sending, "request_of", lambda desk, tracked: change(honest(desk, tracked)))

    return mutate


def _in_twenties(request: Any) -> Any:
    return replace(request, quantity=request.quantity // 20 * 20 or request.quantity)


def _on_the_other_side(request: Any) -> Any:
    return replace(request, side={"buy": "sell", "sell": "buy"}[request.side])


def _twice_as_dear(activity: Any) -> Any:
    return replace(activity, price=activity.price * 2)


def _one_share_less(activity: Any) -> Any:
    return replace(activity, quantity=activity.quantity - 1) if activity.quantity > 1 else activity


def _replace(owner: Any, name: str, value: object) -> None:
    setattr(owner, name, value)


MUTANTS = (
    Mutant("orders named by chance", _name_orders_by_chance, frozenset({Fault.LOST_ANSWER})),
    Mutant("silence taken for refusal", _take_silence_for_refusal, frozenset({Fault.LOST_ANSWER})),
    Mutant("sent again under another name", _send_again_under_another_name, frozenset({Fault.LOST_ANSWER})),
    Mutant("never asks what became of an order", _never_ask_again, frozenset({Fault.LOST_REQUEST})),
    Mutant("forgets what was booked", _forget_what_was_booked, frozenset({Fault.REPEATED_ACTIVITIES})),
    Mutant("cursor outside of the transaction", _move_the_cursor_first, frozenset({Fault.PARTIAL_FILLS})),
    Mutant("plans again every time", _plan_anew_every_time, frozenset({Fault.PARTIAL_FILLS})),
    Mutant("asks no limits", _ask_no_limits, frozenset()),
    Mutant("books in memory before the ledger", _book_in_memory_before_the_ledger, frozenset()),
    Mutant("compares no hours with the broker's", _compare_no_hours, frozenset({Fault.CLOSED})),
    Mutant("sends what a later plan has replaced", _send_superseded, frozenset({Fault.SUPERSEDED})),
    Mutant("never joins the parts of a renaming", _join_no_parts, frozenset({Fault.RENAMING})),
    Mutant("never joins the parts of a split", _join_no_parts, frozenset({Fault.SPLIT})),
    Mutant("a cancellation is a new dividend", _take_cancellations_for_new, frozenset({Fault.CANCELLED_DIVIDEND})),
    Mutant("stops at what cannot be booked", _stop_at_what_cannot_be_booked, frozenset({Fault.UNBOOKABLE})),
    Mutant("forgets what cannot be booked", _forget_what_cannot_be_booked, frozenset({Fault.UNBOOKABLE})),
    Mutant("stays active whatever happens", _stay_active, frozenset({Fault.UNBOOKABLE})),
    Mutant("leaves out busts", _leave_out(Amendment.CANCELLATION), frozenset({Fault.BUST})),
    Mutant("leaves out corrections", _leave_out(Amendment.CORRECTION), frozenset({Fault.CORRECTION})),
    Mutant("books a deposit twice", _book_cash(2), frozenset({Fault.DEPOSIT})),
    Mutant("books no dividend", _book_cash(0), frozenset({Fault.DIVIDEND})),
    Mutant("books twice the price", _change_fills(_twice_as_dear), frozenset()),
    Mutant("loses a share of a fill", _change_fills(_one_share_less), frozenset()),
    Mutant("drops trades by hand", _drop_trades_by_hand, frozenset({Fault.OUTSIDE_TRADE})),
    Mutant("never looks behind the cursor", _never_look_behind_the_cursor, frozenset({Fault.DISORDERED_ACTIVITIES})),
    Mutant("infers fills at once", _infer_at_once, frozenset({Fault.SLOW_ACTIVITIES})),
    Mutant("lets unsent orders stand for ever", _expire_nothing, frozenset({Fault.CLOSED})),
    Mutant("approves what is denied", _approve_what_is_denied, frozenset()),
    Mutant("forgets where decisions came from", _forget_where_decisions_came_from, frozenset()),
    Mutant("sends the rest of an order again", _send_the_rest_again, frozenset({Fault.CANCELS_REST})),
    Mutant("orders in twenties", _change_requests(_in_twenties), frozenset()),
    Mutant("orders the other side", _change_requests(_on_the_other_side), frozenset()),
)
