"""The loop over sessions that a single backtest and a search share, compiled.

Accounts of a block advance together, session by session, so that a session's scores and prices stay in the cache. A
single backtest is a block of one account whose rows are kept; a search runs many accounts and keeps their statistics.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_pipeline.backtest.combination_kernels import (
    CombinationArrays,
    Measured,
    count_session,
    fuse_next,
    new_sums,
)
from quant_pipeline.backtest.session_step import (
    Records,
    Run,
    close_account,
    decision_of,
    record_close,
    session_of,
)
from quant_pipeline.common.compiled import kernel
from quant_pipeline.exchange.account_arrays import BOUGHT, HELD, SOLD, AccountArrays, new_accounts
from quant_pipeline.strategy.decision import decide
from quant_pipeline.strategy.ranking import DecisionBuffers, new_decision_buffers

Counts = tuple[int, int, int]
"""Number of fills, corporate actions and positions of a run, whether they found a row or not."""


def run_sessions(
    run: Run, combinations: CombinationArrays, cash: int, measured: Measured, records: Records
) -> tuple[AccountArrays, Counts]:
    """Trade one fresh account per combination of models through every session.

    Parameters
    ----------
    run
        Market, scores of the models, and rules.
    combinations
        Combinations in lexicographic order, one per account.
    cash
        Cash of every account before the first session, in ticks.
    measured
        Statistics per account; updated.
    records
        Rows that are kept; those of one account only make sense, so a block of several has no rows here.

    Returns
    -------
    tuple
        The accounts after the last session, and the numbers of rows.
    """
    n_accounts, n_instruments = len(combinations.sizes), run.market.mark.shape[1]
    accounts = new_accounts(n_accounts, n_instruments, cash)
    buffers = new_decision_buffers(n_instruments, n_accounts)
    counts = _run_accounts(
        run, accounts, combinations, measured, records, buffers, new_sums(combinations, n_instruments)
    )
    return accounts, counts


@kernel
def _run_accounts(
    run: Run,
    accounts: AccountArrays,
    combinations: CombinationArrays,
    measured: Measured,
    records: Records,
    buffers: DecisionBuffers,
    sums: npt.NDArray[np.float32],
) -> Counts:
    """Run all accounts through every session; the first has no return, because nothing is held yet."""
    n_fills = np.int64(0)
    n_events = np.int64(0)
    n_positions = np.int64(0)
    for t in range(run.decides.shape[0]):
        session = session_of(run, t)
        for a in range(accounts.totals.shape[0]):
            value, n_fills, n_events = close_account(run, session, accounts, a, records, n_fills, n_events)
            n_positions = record_close(session, accounts, a, value, records, n_positions)
            if t > 0:
                count_session(
                    measured.statistics[a],
                    measured.periods[a, measured.period_of_session[t]],
                    float(value),
                    float(accounts.totals[a, BOUGHT] + accounts.totals[a, SOLD]),
                    accounts.totals[a, HELD],
                    measured.benchmark_returns[t],
                )
            if session.decides:
                fused = fuse_next(run.table, t, combinations, a, sums)
                decide(decision_of(run, session, accounts, a, value, fused, buffers))
    return int(n_fills), int(n_events), int(n_positions)
