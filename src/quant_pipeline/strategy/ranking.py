"""Finding the best candidates and the weakest holdings, compiled: most of the time of a search is spent here.

Guesses from an account's last decision and rough scores spare most comparisons. They change the time and never the
result.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.compiled import inlined, shared
from quant_pipeline.exchange.account_arrays import HELD, AccountArrays
from quant_pipeline.strategy.bit_masks import FLAGS_PER_MASK, FLAGS_PER_WORD, WORDS_PER_MASK, bits_of, lowest_bit
from quant_pipeline.strategy.fused_scores import GROUP, FusedScores, fused_below, padded_width

_GUESS_MARGIN = np.float32(0.5)
_ATTEMPTS = 4


class DecisionBuffers(NamedTuple):
    """Scratch space of one thread.

    After a decision ``slot_decision`` explains the holdings; ``slot_rough`` keeps their rough scores. ``group_best``
    is the best rough score of each group of instruments, ``flags`` and ``flag_words``, the same memory, tell which
    groups matter; ``hits`` lists the holdings that may be among the weakest. ``guess`` remembers, per account, a score
    that the next decision's candidates will probably exceed, ``guess_step`` by how much to lower it when too few do,
    ``worst_guess`` a score its weakest holdings will probably not reach. ``best`` and ``worst`` are what was found,
    ``weights``, ``wanted_shares`` and ``surplus_shares`` what target weights make of it. ``eligible``, ``refusal``,
    ``sector_value``, ``company_held`` and ``wished_weights`` are of the portfolio rules, see
    :mod:`~quant_pipeline.strategy.portfolio_rules`.
    """

    group_best: npt.NDArray[np.float32]
    flags: npt.NDArray[np.uint8]
    flag_words: npt.NDArray[np.uint64]
    hits: npt.NDArray[np.uint32]
    guess: npt.NDArray[np.float32]
    guess_step: npt.NDArray[np.float32]
    worst_guess: npt.NDArray[np.float32]
    slot_rough: npt.NDArray[np.float32]
    slot_decision: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float64]
    wanted_shares: npt.NDArray[np.int64]
    surplus_shares: npt.NDArray[np.int64]
    best: npt.NDArray[np.uint32]
    best_rough: npt.NDArray[np.float32]
    worst: npt.NDArray[np.uint32]
    worst_rough: npt.NDArray[np.float32]
    eligible: npt.NDArray[np.bool_]
    refusal: npt.NDArray[np.int32]
    sector_value: npt.NDArray[np.int64]
    company_held: npt.NDArray[np.int32]
    wished_weights: npt.NDArray[np.float64]


def new_decision_buffers(n_instruments: int, n_accounts: int = 1) -> DecisionBuffers:
    """Create scratch space for a market of `n_instruments`, used by `n_accounts` in turn."""
    n_groups = padded_width(n_instruments) // GROUP
    flag_words = np.zeros(n_groups // FLAGS_PER_WORD, dtype=np.uint64)
    return DecisionBuffers(
        group_best=np.empty(n_groups, dtype=np.float32),
        flags=flag_words.view(np.uint8),
        flag_words=flag_words,
        hits=np.empty(n_instruments + 1, dtype=np.uint32),
        guess=np.full(n_accounts, -np.inf, dtype=np.float32),
        guess_step=np.zeros(n_accounts, dtype=np.float32),
        worst_guess=np.full(n_accounts, np.inf, dtype=np.float32),
        slot_rough=np.empty(n_instruments, dtype=np.float32),
        slot_decision=np.empty(n_instruments, dtype=np.int32),
        weights=np.empty(n_instruments, dtype=np.float64),
        wanted_shares=np.empty(n_instruments, dtype=np.int64),
        surplus_shares=np.empty(n_instruments, dtype=np.int64),
        best=np.empty(n_instruments, dtype=np.uint32),
        best_rough=np.empty(n_instruments, dtype=np.float32),
        worst=np.empty(n_instruments, dtype=np.uint32),
        worst_rough=np.empty(n_instruments, dtype=np.float32),
        eligible=np.empty(n_instruments, dtype=np.bool_),
        refusal=np.empty(n_instruments, dtype=np.int32),
        sector_value=np.empty(n_instruments, dtype=np.int64),
        company_held=np.empty(n_instruments, dtype=np.int32),
        wished_weights=np.empty(n_instruments, dtype=np.float64),
    )


@inlined
def _compare_groups(rough: npt.NDArray[np.float32], limit: np.float32, buffers: DecisionBuffers) -> None:
    """Flag the groups that hold a rough score of at least `limit`; group ``k`` holds every n-th score from ``k`` on."""
    n = buffers.group_best.size
    lowest = np.float32(-np.inf)
    for k in range(n):
        best = lowest
        for i in range(GROUP):
            score = rough[np.uint64(i * n + k)]  # Signed, it would be asked whether it is counted from the end.
            best = score if score > best else best
        buffers.group_best[k] = best
        buffers.flags[k] = 1 if best >= limit else 0


@inlined
def _insert_best(
    fused: FusedScores, rough: float, instrument: int, found: int, wanted: int, buffers: DecisionBuffers
) -> int:
    """Insert an instrument into the `found` best so far, best first, if it is one of `wanted`; return their number."""
    index = found
    while index > 0 and fused_below(fused, buffers.best_rough[index - 1], buffers.best[index - 1], rough, instrument):
        if index < wanted:
            buffers.best_rough[index] = buffers.best_rough[index - 1]
            buffers.best[index] = buffers.best[index - 1]
        index -= 1
    if index < wanted:
        buffers.best_rough[index] = rough
        buffers.best[index] = instrument
        found = min(found + 1, wanted)
    return found


@inlined
def _take_group(
    fused: FusedScores,
    tradable: npt.NDArray[np.bool_],
    group: int,
    found: int,
    wanted: int,
    limit: np.float32,
    buffers: DecisionBuffers,
) -> int:
    """Insert the tradable members of a group with a rough score of at least `limit`; return how many are found.

    Nearly always one member is above; counting all of them first spares a branch per member.
    """
    n = buffers.group_best.size
    n_above = 0
    index = 0
    for i in range(GROUP):
        is_above = 1 if fused.rough[np.uint32(group + i * n)] >= limit else 0
        n_above += is_above
        index += is_above * i
    if n_above == 1:
        j = np.uint32(group + index * n)
        return _insert_best(fused, fused.rough[j], j, found, wanted, buffers) if tradable[j] else found
    for i in range(GROUP):
        j = np.uint32(group + i * n)
        if fused.rough[j] >= limit and tradable[j]:
            found = _insert_best(fused, fused.rough[j], j, found, wanted, buffers)
    return found


@inlined
def _find_above(
    fused: FusedScores, tradable: npt.NDArray[np.bool_], wanted: int, limit: np.float32, buffers: DecisionBuffers
) -> int:
    """Write the `wanted` best tradable instruments with a rough score of at least `limit`, best first.

    NaN scores are skipped; equal scores rank by instrument order. Comparing whole groups first and looking only at
    the few hits is several times faster than one loop with an unpredictable branch: the higher `limit`, the more.
    Returns how many there are.
    """
    _compare_groups(fused.rough, limit, buffers)
    found = np.int64(0)
    mask = np.uint64(0)
    n_words = buffers.flag_words.size
    for word in range(n_words):
        mask |= bits_of(buffers.flag_words[word]) << np.uint64(word % WORDS_PER_MASK * FLAGS_PER_WORD)
        if word % WORDS_PER_MASK != WORDS_PER_MASK - 1 and word + 1 < n_words:
            continue
        first = word // WORDS_PER_MASK * FLAGS_PER_MASK
        while mask != np.uint64(0):
            group = np.uint32(first + lowest_bit(mask))
            mask &= mask - np.uint64(1)
            if buffers.group_best[group] >= limit:
                found = _take_group(fused, tradable, group, found, wanted, limit, buffers)
                if found == wanted:
                    limit = max(limit, buffers.best_rough[wanted - 1] - fused.gap)
    return int(found)


@shared
def find_candidates(
    a: int, fused: FusedScores, tradable: npt.NDArray[np.bool_], wanted: int, buffers: DecisionBuffers
) -> int:
    """Write the best tradable instruments into the buffers and return how many there are.

    Instruments whose rough score is NaN are not found. The account's last candidates give a score that the new ones
    will probably exceed; if too few do, it is lowered. If enough do, and clearly, they are the best there are.
    """
    if wanted <= 0:
        return 0
    lowest = np.float32(-np.inf)
    limit = buffers.guess[a]
    step = buffers.guess_step[a]
    found = 0
    for attempt in range(_ATTEMPTS + 1):
        if attempt == _ATTEMPTS:
            limit = lowest
        found = _find_above(fused, tradable, wanted, limit, buffers)
        if limit == lowest or (found == wanted and buffers.best_rough[wanted - 1] >= limit + fused.gap):
            break
        limit -= step
        step += step
    if found == wanted:
        last = buffers.best_rough[wanted - 1]
        buffers.guess_step[a] = max(_GUESS_MARGIN * (buffers.best_rough[0] - last), fused.gap)
        buffers.guess[a] = last - buffers.guess_step[a]
    else:
        buffers.guess[a] = lowest
    return found


@inlined
def _sort_worst_slots(
    accounts: AccountArrays, a: int, fused: FusedScores, wanted: int, limit: np.float32, buffers: DecisionBuffers
) -> int:
    """Write the slots of the `wanted` lowest-ranked holdings with a rough score of at most `limit`, worst first."""
    n_hits = np.uint64(0)  # Unsigned, because numba checks signed indices for negative ones.
    for slot in range(accounts.totals[a, HELD]):
        buffers.hits[n_hits] = slot
        n_hits += np.uint64(1) if buffers.slot_rough[slot] <= limit else np.uint64(0)
    found = 0
    for i in range(n_hits):
        slot = buffers.hits[i]
        rough = buffers.slot_rough[slot]
        instrument = accounts.slot_instrument[a, slot]
        index = found
        while index > 0 and fused_below(
            fused,
            rough,
            instrument,
            buffers.worst_rough[index - 1],
            accounts.slot_instrument[a, buffers.worst[index - 1]],
        ):
            if index < wanted:
                buffers.worst_rough[index] = buffers.worst_rough[index - 1]
                buffers.worst[index] = buffers.worst[index - 1]
            index -= 1
        if index < wanted:
            buffers.worst_rough[index] = rough
            buffers.worst[index] = slot
            found = min(found + 1, wanted)
    return found


@shared
def find_worst_slots(accounts: AccountArrays, a: int, fused: FusedScores, wanted: int, buffers: DecisionBuffers) -> int:
    """Write the slots of the `wanted` lowest-ranked scored holdings, worst first, and return how many there are.

    As for candidates, the account's last decision gives a guess that changes the time and never the result.
    """
    if wanted <= 0:
        return 0
    highest = np.float32(np.inf)
    limit = buffers.worst_guess[a]
    found = _sort_worst_slots(accounts, a, fused, wanted, limit, buffers)
    if limit < highest and not (found == wanted and buffers.worst_rough[wanted - 1] <= limit - fused.gap):
        found = _sort_worst_slots(accounts, a, fused, wanted, highest, buffers)
    buffers.worst_guess[a] = highest
    if found == wanted:
        last = buffers.worst_rough[wanted - 1]
        buffers.worst_guess[a] = last + max(_GUESS_MARGIN * (last - buffers.worst_rough[0]), fused.gap)
    return found
