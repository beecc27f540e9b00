"""One sender at a time: a lease with a fencing number in the database of the ledger.

Every durable step checks, within its own transaction, that the lease still carries its number. A process that was
stopped for an hour and wakes up therefore writes nothing, and what is not written is not sent.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa

from quant_pipeline.common.exceptions import AccountError

_metadata = sa.MetaData()
_leases = sa.Table(
    "lease",
    _metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("holder", sa.String(160), nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
)
_NAME = "sender"
_PROLONG = (
    _leases.update()
    .where(_leases.c.name == _NAME, _leases.c.fence == sa.bindparam("held"))
    .values(expires_at=sa.bindparam("until"))
)


class LeaseHeldError(AccountError):
    """Another process may send orders of this account."""


class LeaseLostError(AccountError):
    """Another process has taken over; this one must not send any more."""


@dataclass(frozen=True)
class Lease:
    """The right to send the orders of an account.

    Attributes
    ----------
    engine
        Database of the ledger.
    holder
        ``host/process/random``.
    fence
        Grows with every holder; the highest one is right.
    seconds
        How long the right outlives its last use.
    now
        Clock, seconds since the epoch.
    """

    engine: sa.Engine
    holder: str
    fence: int
    seconds: float
    now: Callable[[], float]

    @classmethod
    def acquire(cls, engine: sa.Engine, seconds: float, now: Callable[[], float]) -> Lease:
        """Take the lease when no running process holds it.

        Raises
        ------
        LeaseHeldError
            When another process holds it.
        """
        _metadata.create_all(engine)
        holder = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        with engine.begin() as connection:
            known = connection.execute(sa.select(_leases).where(_leases.c.name == _NAME)).one_or_none()
            if known is not None and known.expires_at > now() and _is_alive(known.holder):
                raise LeaseHeldError(
                    f"another process ({known.holder}) may be sending orders of this account; wait until it ends, or "
                    f"{known.expires_at - now():.0f} seconds when it has died on another machine"
                )
            fence = 1 if known is None else known.fence + 1
            row = {"holder": holder, "fence": fence, "expires_at": now() + seconds}
            if known is None:
                connection.execute(_leases.insert().values(name=_NAME, **row))
            else:
                connection.execute(_leases.update().where(_leases.c.name == _NAME).values(row))
        return cls(engine, holder, fence, seconds, now)

    def renew(self, connection: sa.Connection) -> None:
        """Prolong the lease within a transaction.

        Raises
        ------
        LeaseLostError
            When another process has taken over.
        """
        prolonged = connection.execute(_PROLONG, {"held": self.fence, "until": self.now() + self.seconds})
        if prolonged.rowcount != 1:
            raise LeaseLostError(
                f"{self.holder} lost the right to send orders to another process; nothing more was written or sent"
            )

    def check(self) -> None:
        """Prolong the lease in a transaction of its own; see `renew`."""
        with self.engine.begin() as connection:
            self.renew(connection)

    def release(self) -> None:
        """Give the lease back; one that was lost stays with its new holder."""
        with self.engine.begin() as connection:
            connection.execute(_PROLONG, {"held": self.fence, "until": self.now() - 1})


@dataclass(frozen=True)
class Holder:
    """Who may send orders now.

    Attributes
    ----------
    holder
        ``host/process/random``.
    expires_at
        Until when, unless it is prolonged; seconds since the epoch.
    """

    holder: str
    expires_at: float


def read_holder(engine: sa.Engine, now: float) -> Holder | None:
    """Return who holds the lease; None when it is free. Nothing is written.

    Parameters
    ----------
    engine
        Database of the ledger.
    now
        Seconds since the epoch.
    """
    if not sa.inspect(engine).has_table(_leases.name):
        return None
    with engine.connect() as connection:
        known = connection.execute(sa.select(_leases).where(_leases.c.name == _NAME)).one_or_none()
    if known is None or known.expires_at <= now or not _is_alive(known.holder):
        return None
    return Holder(known.holder, known.expires_at)


def _is_alive(holder: str) -> bool:
    """Return whether a holder may still run; one of another machine may."""
    host, process, _ = holder.split("/")
    if host != socket.gethostname():
        return True
    with suppress(ProcessLookupError):
        try:
            os.kill(int(process), 0)
        except PermissionError:
            return True
        return True
    return False
