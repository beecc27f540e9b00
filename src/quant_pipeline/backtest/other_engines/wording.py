"""The agreement with another engine in words."""

from __future__ import annotations

import math
from collections.abc import Iterator

from quant_pipeline.backtest.other_engines.agreement import Agreement


def describe(agreement: Agreement) -> Iterator[str]:
    """Yield the lines that a command prints about one engine."""
    verdict = agreement.executed.verdict
    yield f"{verdict.engine} {verdict.engine_version} ({verdict.licence}), Python {verdict.python}"
    basis = "with the spread" if verdict.prices == "with_costs" else "before the spread, which it does not know"
    share = f" ({agreement.equal_fills / agreement.fills:.2%})" if agreement.fills else ""
    yield (
        f"  market-on-open fills equal in price ({basis}) and quantity: {agreement.equal_fills:,} of "
        f"{agreement.fills:,}{share}"
    )
    for failure in agreement.failures:
        yield f"  FAILS: {failure}"
    for cause, count in agreement.causes.items():
        yield f"  {count:>9,}  {cause}"
    if not math.isnan(agreement.fee_difference):
        yield f"  largest difference of a fee: {agreement.fee_difference:.4f}"
    if not math.isnan(agreement.nav_difference):
        until = "" if agreement.differs_nowhere else ", until the first fill that differs"
        yield (
            f"  largest difference of the net asset value of a session: {agreement.nav_difference:.1e} of it, in "
            f"{agreement.nav_sessions:,} sessions{until}"
        )
    if verdict.look_ahead:
        yield f"  look-ahead: {verdict.look_ahead}"
    for name, value in verdict.measured.items():
        yield f"  {name}: {value:,.12g}"
    for note in verdict.notes:
        yield f"  note: {note}"
