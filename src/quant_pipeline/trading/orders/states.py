"""The life of an order. There is no state "unknown": SUBMITTING *is* the order whose outcome is not known yet."""

from __future__ import annotations

from enum import StrEnum

from quant_pipeline.common.exceptions import AccountError


class IllegalTransitionError(AccountError):
    """A change of state that the life of an order does not allow."""


class OrderState(StrEnum):
    """Where an order stands in the ledger."""

    INTENDED = "intended"
    DENIED = "denied"
    SUBMITTING = "submitting"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"

    @property
    def is_final(self) -> bool:
        """Whether nothing will change the state any more; a late fill is booked all the same."""
        return not TRANSITIONS[self]

    @property
    def is_at_broker(self) -> bool:
        """Whether the broker may be working on the order."""
        return self in _AT_BROKER


_S = OrderState
_AT_BROKER = frozenset({_S.SUBMITTING, _S.ACCEPTED, _S.PARTIALLY_FILLED, _S.PENDING_CANCEL})
_ENDS = frozenset({_S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REJECTED})

TRANSITIONS: dict[OrderState, frozenset[OrderState]] = {
    _S.INTENDED: frozenset({_S.SUBMITTING, _S.DENIED, _S.EXPIRED}),
    _S.SUBMITTING: _ENDS | {_S.ACCEPTED, _S.PARTIALLY_FILLED},
    _S.ACCEPTED: _ENDS | {_S.PARTIALLY_FILLED, _S.PENDING_CANCEL},
    _S.PARTIALLY_FILLED: _ENDS | {_S.PENDING_CANCEL},
    _S.PENDING_CANCEL: _ENDS | {_S.ACCEPTED, _S.PARTIALLY_FILLED},
    _S.DENIED: frozenset(),
    _S.FILLED: frozenset(),
    _S.CANCELED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.REJECTED: frozenset(),
}


def next_state(client_order_id: str, now: OrderState, wanted: OrderState) -> OrderState:
    """Return the wanted state when it may follow; the same state is no step.

    Raises
    ------
    IllegalTransitionError
        When it may not.
    """
    if wanted != now and wanted not in TRANSITIONS[now]:
        raise IllegalTransitionError(
            f"order {client_order_id} is {now} and cannot become {wanted}; the ledger was left as it was. "
            "Compare the order with the broker before anything else is sent."
        )
    return wanted
