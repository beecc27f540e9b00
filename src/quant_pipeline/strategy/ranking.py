"""Finding the best candidates and the weakest holdings, compiled: most of the time of a search is spent here.

Guesses from an account's last decision spare most comparisons. They change the time and never the result.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from quant_pipeline.strategy.account_arrays import HELD, AccountArrays
from quant_pipeline.strategy.compiled import inlined

_FLAGS_PER_WORD = 8
_GUESS_MARGIN = 0.5
_ATTEMPTS = 4


class DecisionBuffers(NamedTuple):
    """Scratch space of one thread.

    ``scores`` takes one score per instrument, NaN where there is none (never infinite). After a decision
    ``slot_decision`` and ``slot_score`` explain the holdings. ``flags`` and ``flag_words`` are the same memory, which
    ``hits`` lists;
    ``guess`` remembers, per account, a score that the next decision's candidates will probably exceed,
    ``guess_step`` by how much to lower it when too few do, ``worst_guess`` a score its weakest holdings will probably
    not reach.
    """

    scores: npt.NDArray[np.float64]
    flags: npt.NDArray[np.uint8]
    flag_words: npt.NDArray[np.uint64]
    hits: npt.NDArray[np.uint32]
    guess: npt.NDArray[np.float64]
    guess_step: npt.NDArray[np.float64]
    worst_guess: npt.NDArray[np.float64]
    slot_score: npt.NDArray[np.float64]
    slot_decision: npt.NDArray[np.int32]
    best: npt.NDArray[np.uint32]
    best_score: npt.NDArray[np.float64]
    worst: npt.NDArray[np.int32]
    worst_score: npt.NDArray[np.float64]


def new_decision_buffers(n_instruments: int, n_accounts: int = 1) -> DecisionBuffers:
    """Create scratch space for a market of `n_instruments`, used by `n_accounts` in turn."""
    flag_words = np.zeros(-(-n_instruments // _FLAGS_PER_WORD), dtype=np.uint64)
    return DecisionBuffers(
        scores=np.full(n_instruments, np.nan),
        flags=flag_words.view(np.uint8),
        flag_words=flag_words,
        hits=np.empty(n_instruments + _FLAGS_PER_WORD, dtype=np.uint32),
        guess=np.full(n_accounts, -np.inf),
        guess_step=np.zeros(n_accounts),
        worst_guess=np.full(n_accounts, np.inf),
        slot_score=np.empty(n_instruments, dtype=np.float64),
        slot_decision=np.empty(n_instruments, dtype=np.int32),
        best=np.empty(n_instruments, dtype=np.uint32),
        best_score=np.empty(n_instruments, dtype=np.float64),
        worst=np.empty(n_instruments, dtype=np.int32),
        worst_score=np.empty(n_instruments, dtype=np.float64),
    )


@inlined
def find_best(
    scores: npt.NDArray[np.float64],
    tradable: npt.NDArray[np.bool_],
    wanted: int,
    above: float,
    flags: npt.NDArray[np.uint8],
    flag_words: npt.NDArray[np.uint64],
    hits: npt.NDArray[np.uint32],
    best: npt.NDArray[np.uint32],
    best_score: npt.NDArray[np.float64],
) -> int:
    """Write the `wanted` best tradable instruments with a score above `above`, best first; return how many there are.

    NaN scores are skipped; equal scores keep instrument order. Comparing all scores first and looking only at the few
    hits is several times faster than one loop with an unpredictable branch: the higher `above`, the more.
    """
    for j in range(scores.size):
        flags[j] = 1 if scores[j] > above else 0
    n_hits = 0
    for word in range(flag_words.size):
        if flag_words[word] != 0:
            first = word * _FLAGS_PER_WORD
            for j in range(first, first + _FLAGS_PER_WORD):
                hits[n_hits] = j
                n_hits += flags[j]
    found = 0
    threshold = above
    for i in range(n_hits):
        j = hits[i]
        score = scores[j]
        if not score > threshold or not tradable[j]:
            continue
        place = min(found, wanted - 1)
        while place > 0 and best_score[place - 1] < score:
            best_score[place] = best_score[place - 1]
            best[place] = best[place - 1]
            place -= 1
        best_score[place] = score
        best[place] = j
        found = min(found + 1, wanted)
        if found == wanted:
            threshold = best_score[wanted - 1]
    return found


@inlined
def find_candidates(a: int, tradable: npt.NDArray[np.bool_], wanted: int, buffers: DecisionBuffers) -> int:
    """Write the best tradable instruments that are not held into the buffers and return how many there are.

    The account's last candidates give a score that the new ones will probably exceed; if too few do, it is lowered.
    The guess changes the time, never the result: whatever is found above it is the best there is.
    """
    if wanted <= 0:
        return 0
    above = buffers.guess[a]
    step = buffers.guess_step[a]
    for attempt in range(_ATTEMPTS + 1):
        if attempt == _ATTEMPTS:
            above = -np.inf
        found = find_best(
            buffers.scores,
            tradable,
            wanted,
            above,
            buffers.flags,
            buffers.flag_words,
            buffers.hits,
            buffers.best,
            buffers.best_score,
        )
        if found == wanted or above == -np.inf:
            break
        above -= step
        step *= 2.0
    if found == wanted:
        lowest = buffers.best_score[wanted - 1]
        buffers.guess_step[a] = _GUESS_MARGIN * (buffers.best_score[0] - lowest)
        buffers.guess[a] = lowest - buffers.guess_step[a]
    else:
        buffers.guess[a] = -np.inf
    return found


@inlined
def ranks_below(score: float, instrument: int, other_score: float, other_instrument: int) -> bool:
    """Whether an instrument ranks below another: lower score, or the same score and a later code."""
    return score < other_score or (score == other_score and instrument > other_instrument)


@inlined
def _sort_worst_slots(accounts: AccountArrays, a: int, wanted: int, below: float, buffers: DecisionBuffers) -> int:
    """Write the slots of the `wanted` lowest-ranked holdings with a score below `below`, worst first."""
    n_hits = 0
    for slot in range(accounts.totals[a, HELD]):
        buffers.hits[n_hits] = slot
        n_hits += 1 if buffers.slot_score[slot] < below else 0
    found = 0
    for i in range(n_hits):
        slot = buffers.hits[i]
        score = buffers.slot_score[slot]
        instrument = accounts.slot_instrument[a, slot]
        place = found
        while place > 0 and ranks_below(
            score,
            instrument,
            buffers.worst_score[place - 1],
            accounts.slot_instrument[a, buffers.worst[place - 1]],
        ):
            if place < wanted:
                buffers.worst_score[place] = buffers.worst_score[place - 1]
                buffers.worst[place] = buffers.worst[place - 1]
            place -= 1
        if place < wanted:
            buffers.worst_score[place] = score
            buffers.worst[place] = slot
            found = min(found + 1, wanted)
    return found


@inlined
def find_worst_slots(accounts: AccountArrays, a: int, wanted: int, buffers: DecisionBuffers) -> int:
    """Write the slots of the `wanted` lowest-ranked scored holdings, worst first, and return how many there are.

    As for candidates, the account's last decision gives a guess that changes the time and never the result.
    """
    if wanted <= 0:
        return 0
    below = buffers.worst_guess[a]
    found = _sort_worst_slots(accounts, a, wanted, below, buffers)
    if found < wanted and below < np.inf:
        found = _sort_worst_slots(accounts, a, wanted, np.inf, buffers)
    buffers.worst_guess[a] = np.inf
    if found == wanted:
        highest = buffers.worst_score[wanted - 1]
        buffers.worst_guess[a] = highest + _GUESS_MARGIN * (highest - buffers.worst_score[0])
    return found
