"""The crash suite: every fault, a process killed at every step, twice in a row, then run to the end and checked."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.testing.chaos.invariants import find_violations
from quant_pipeline.testing.chaos.mutants import Mutant
from quant_pipeline.testing.chaos.process import run_process
from quant_pipeline.testing.chaos.rehearsal import SESSION, exchange_calendar, new_broker

_RUNS_TO_THE_END = 4
_TOGETHER = (
    frozenset({Fault.LOST_ANSWER, Fault.SLOW_READS, Fault.PARTIAL_FILLS}),
    frozenset({Fault.LOST_REQUEST, Fault.FAILING_READS, Fault.SLOW_ACTIVITIES, Fault.REPEATED_ACTIVITIES}),
    frozenset({Fault.RATE_LIMIT, Fault.FILL_BEFORE_ANSWER, Fault.DISORDERED_ACTIVITIES, Fault.DEPOSIT}),
    frozenset({Fault.CANCELS_REST, Fault.REJECTS, Fault.DIVIDEND, Fault.CORRECTION}),
)
EVERY_FAULT: tuple[frozenset[Fault], ...] = (
    frozenset(),
    *(frozenset({fault}) for fault in Fault),
    *_TOGETHER,
)


@dataclass
class Record:
    """What was tried under one set of faults."""

    faults: frozenset[Fault]
    scenarios: int = 0
    crash_points: int = 0
    violations: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The faults in one word each."""
        return " + ".join(sorted(self.faults)) or "no fault"


def warm_up() -> None:
    """Compute once what every process would compute: forked processes inherit it."""
    exchange_calendar().hours(SESSION)


def rehearse(
    faults: frozenset[Fault], kills: Sequence[int], seed: int, mutate: Callable[[], None] | None = None
) -> tuple[int, list[str]]:
    """Live through one day, killed at each of the given steps in turn, then to the end.

    Parameters
    ----------
    faults, seed
        What the broker does.
    kills
        Step of the first process, of the second, …
    mutate
        A deliberate mistake.

    Returns
    -------
    tuple
        How many processes were really killed, and the violations.
    """
    with tempfile.TemporaryDirectory(dir=_fast_folder()) as folder:
        ledger, broker = Path(folder) / "ledger.sqlite", new_broker(faults, seed)
        killed = 0
        for step in kills:
            killed += run_process(ledger, broker, step, mutate).killed
        ending = None
        for _ in range(_RUNS_TO_THE_END):
            ending = run_process(ledger, broker, None, mutate)
            if not ending.error:
                break
        # A second run of a finished day must change nothing; it is tried now and then, for it costs a whole run.
        again = run_process(ledger, broker, None, mutate) if not kills or kills[0] % 4 == 0 else None
        violations = find_violations(ledger, broker)
        violations += [f"I3 {e.error}" for e in (ending, again) if e is not None and e.error]
    return killed, violations


def count_steps(faults: frozenset[Fault], seed: int) -> int:
    """Count the steps of an undisturbed day."""
    with tempfile.TemporaryDirectory(dir=_fast_folder()) as folder:
        return run_process(Path(folder) / "ledger.sqlite", new_broker(faults, seed), None).steps


def run_suite(every_nth_step: int, seed: int, workers: int = 1) -> Iterator[Record]:
    """Kill at every n-th step under every fault; the second process dies at a step drawn by chance.

    Parameters
    ----------
    every_nth_step
        1 kills at every single step.
    seed
        Seed of the second steps and of the broker.
    workers
        How many sets of faults are rehearsed at the same time.
    """
    places = range(len(EVERY_FAULT))
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        yield from pool.map(partial(_rehearse_fault, every_nth_step, seed), places)


def _rehearse_fault(every_nth_step: int, seed: int, place: int) -> Record:
    record = Record(EVERY_FAULT[place])
    chance = random.Random(seed + place)  # noqa: S311 - a rehearsal must be repeatable
    steps = count_steps(record.faults, seed)
    for first in range(place % every_nth_step, steps, every_nth_step):
        kills = (first, chance.randrange(steps))
        killed, violations = rehearse(record.faults, kills, seed)
        record.scenarios += 1
        record.crash_points += killed
        record.violations += [f"{record.name}, killed at {kills}: {found}" for found in violations]
    return record


def catch_all(mutants: Sequence[Mutant], seed: int, workers: int = 1) -> Iterator[tuple[Mutant, str | None]]:
    """Look for every deliberate mistake; see `catch`."""
    # Mistakes are functions, some within others, which no queue can carry: the forks inherit them.
    with ProcessPoolExecutor(workers, get_context("fork"), _inherit, (tuple(mutants),)) as pool:
        yield from zip(mutants, pool.map(partial(_catch_inherited, seed), range(len(mutants))), strict=True)


_inherited: tuple[Mutant, ...] = ()


def _inherit(mutants: tuple[Mutant, ...]) -> None:
    global _inherited
    _inherited = mutants


def _catch_inherited(seed: int, place: int) -> str | None:
    return catch(_inherited[place], seed)


def catch(mutant: Mutant, seed: int) -> str | None:
    """Look for a rehearsal in which a deliberate mistake shows: undisturbed, then killed at each step in random order.

    Returns
    -------
    str or None
        The first violation; None when the mistake was not noticed.
    """
    steps = list(range(count_steps(mutant.faults, seed)))
    random.Random(seed).shuffle(steps)  # noqa: S311
    for kills in ((), *((step,) for step in steps)):
        _, violations = rehearse(mutant.faults, kills, seed, mutant.mutate)
        if violations:
            return violations[0]
    return None


def _fast_folder() -> str | None:
    """Keep ledgers in memory where there is such a place: a killed process loses nothing that it had written."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
