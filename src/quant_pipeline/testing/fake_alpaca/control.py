"""What ``/control/bookings`` takes: the functions of `bookings`, by name, with their arguments in JSON."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from decimal import InvalidOperation
from typing import Any

from quant_pipeline.testing.fake_alpaca import bookings
from quant_pipeline.testing.fake_alpaca.exchange import FakeExchange
from quant_pipeline.testing.fake_alpaca.records import Refused

BOOKINGS: dict[str, Callable[..., Any]] = {
    "cash": bookings.book_cash,
    "deposit": bookings.deposit,
    "withdrawal": bookings.withdraw,
    "dividend": bookings.pay_dividend,
    "dividend_in_shares": bookings.pay_in_shares,
    "return_of_capital": bookings.return_capital,
    "split": bookings.split,
    "split_unit": bookings.split_unit,
    "spin_off": bookings.spin_off,
    "renaming": bookings.change_symbol,
    "merger_for_cash": bookings.merge_for_cash,
    "merger_for_shares": bookings.merge_for_shares,
    "worthless": bookings.remove_worthless,
    "transfer": bookings.transfer_shares,
    "trade_by_hand": bookings.trade_by_hand,
    "late_fill": bookings.fill_late,
    "option_expiry": bookings.expire_option,
    "option_exercise": bookings.exercise_option,
    "cancel": bookings.cancel,
    "correct_cash": bookings.correct_cash,
    "bust": bookings.bust,
    "correct": bookings.correct,
}
"""Name of a booking to what books it."""
OF_A_RECORD = ("record", "fill")
"""Arguments that are a record of the feed, named by its id."""


def book(exchange: FakeExchange, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Book what a request asks for.

    Parameters
    ----------
    exchange
        Whose account.
    wanted
        ``book``, a name of `BOOKINGS`, and the arguments of its function. A record that is taken back or corrected is
        named by its id, or as ``last``: the newest of the feed, for ``fill`` the newest execution.

    Returns
    -------
    list of dict
        The records that the feed got.

    Raises
    ------
    Refused
        422 when there is no such booking, an argument is missing or unknown, or nothing is held that it could move.
    """
    arguments = dict(wanted)
    name = arguments.pop("book", None)
    if name not in BOOKINGS:
        raise Refused(422, 42210000, f"no booking '{name}'; there are {', '.join(BOOKINGS)}")
    function = BOOKINGS[name]
    allowed = inspect.signature(function)
    try:
        with exchange.lock:
            for argument in set(arguments) & set(OF_A_RECORD):
                arguments[argument] = _record(exchange, arguments[argument], argument == "fill")
            bound = allowed.bind(exchange, **arguments)
            found = function(*bound.args, **bound.kwargs)
    except (TypeError, KeyError, InvalidOperation) as error:
        known = ", ".join(list(allowed.parameters)[1:])
        raise Refused(422, 42210000, f"'{name}' cannot be booked ({error!r}); it takes {known}") from error
    return found if isinstance(found, list) else [found]


def _record(exchange: FakeExchange, record_id: Any, is_fill: bool) -> dict[str, Any]:
    rows = [row for row in exchange.feed.records if not is_fill or row.get("type") in ("fill", "partial_fill")]
    if record_id == "last" and rows:
        return rows[-1]
    return {row["id"]: row for row in rows}[record_id]
