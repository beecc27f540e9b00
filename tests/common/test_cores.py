"""How many cores a loop is divided among, and what it returns."""

import os
import threading
import weakref

import numpy as np
import pytest

from quant_pipeline.common.cores import (
    KeptThreads,
    _cores_of_groups,
    both_on_cores,
    each_beside,
    each_on_cores,
    map_on_cores,
    on_one_core,
    usable_cores,
)
from quant_pipeline.common.tasks import run_tasks


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)


@pytest.fixture(params=[1, 2])
def cores(request, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(request.param)), raising=False)


def groups_of(folder, **limits):
    """Write control groups as Linux shows them; return where they are and what a process of the inner one reads."""
    own = folder / "cgroup"
    own.write_text("12:cpuset:/old\n0::/outer/inner\n")
    (folder / "sys" / "outer" / "inner").mkdir(parents=True)
    for place, limit in limits.items():
        (folder / "sys" / {"outer": "outer", "inner": "outer/inner"}[place] / "cpu.max").write_text(limit)
    return folder / "sys", own


def test_a_loop_uses_as_many_threads_as_there_are_cores(two_cores):
    together = threading.Barrier(2, timeout=60)
    # Only two threads at the same time pass the barrier.
    assert map_on_cores(lambda item: (together.wait(), item)[1], range(4)) == [0, 1, 2, 3]


def test_two_functions_run_beside_each_other(two_cores):
    together = threading.Barrier(2, timeout=10)
    assert both_on_cores(lambda: (together.wait(), "market")[1], lambda: (together.wait(), "scores")[1]) == (
        "market",
        "scores",
    )


def test_threads_of_a_loop_divide_no_further(two_cores):
    assert map_on_cores(lambda item: (usable_cores(), map_on_cores(str, [item])), [1, 2]) == [(1, ["1"]), (1, ["2"])]
    with on_one_core():
        assert usable_cores() == 1
    assert usable_cores() == 2


def test_an_item_is_worked_on_while_the_next_one_is_made(two_cores):
    second_is_made = threading.Event()

    def make():
        yield "first"
        second_is_made.set()
        yield "second"

    def work(item):
        assert second_is_made.wait(60)
        return item, usable_cores()

    assert list(each_beside(work, make())) == [("first", 2), ("second", 2)]


def test_no_more_items_are_there_at_once_than_cores(cores):
    held = []

    def make():
        for number in range(4):
            assert sum(item() is not None for item in held) <= usable_cores() - 1
            item = np.full(3, number)
            held.append(weakref.ref(item))
            yield item
            del item

    assert list(each_beside(lambda item: int(item[0]), make())) == [0, 1, 2, 3]


def test_what_a_call_or_an_item_raises_comes_after_the_results_before_it(cores):
    def make():
        yield 1
        yield 0
        yield 2

    def refuse():
        yield 1
        raise ValueError("there is no second item")

    found = each_beside(lambda item: 1 // item, make())
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError):
        next(found)
    with pytest.raises(ValueError, match="no second item"):
        list(each_beside(str, refuse()))


def test_a_part_of_many_loops_always_runs_in_the_same_thread(two_cores):
    with KeptThreads(3) as threads:
        loops = [threads.map(lambda part: (part, threading.get_ident(), usable_cores()), 3) for _ in range(5)]
        assert threads.map(lambda part: part, 0) == []
        assert threads.map(lambda part: part, 1) == [0]
    assert loops == [loops[0]] * 5
    assert [(part, cores) for part, _, cores in loops[0]] == [(0, 1), (1, 1), (2, 1)]
    # The calling thread takes the first part, and with two cores the third.
    assert [thread == threading.get_ident() for _, thread, _ in loops[0]] == [True, False, True]


def test_parts_have_no_threads_where_there_is_one_core(two_cores):
    with on_one_core(), KeptThreads(2) as threads:
        assert threads.map(lambda part: threading.get_ident(), 2) == [threading.get_ident()] * 2


@pytest.mark.parametrize("failing", [0, 1])
def test_a_failing_part_is_raised_when_the_other_has_ended(two_cores, failing):
    begun, ended = threading.Barrier(2, timeout=60), []

    def work(part):
        begun.wait()
        if part == failing:
            raise ValueError(f"part {part}")
        ended.append(part)

    with KeptThreads(2) as threads:
        with pytest.raises(ValueError, match=f"part {failing}"):
            threads.map(work, 2)
        assert ended == [1 - failing]
        assert threads.map(str, 2) == ["0", "1"]


@pytest.mark.parametrize(("failing", "first"), [({1, 2}, 1), ({0, 1}, 0), ({4, 3}, 3), ({5, 2, 4}, 2)])
def test_of_parts_that_fail_the_first_is_raised(cores, failing, first):
    def work(part):
        if part in failing:
            raise ValueError(f"part {part}")

    with KeptThreads(3) as threads, pytest.raises(ValueError, match=f"^part {first}$"):
        threads.map(work, 6)


def test_an_interruption_is_no_failure_of_a_part(two_cores):
    def work(part):
        if part > 0:
            # The second part has a thread of its own, in which nothing interrupts it.
            raise {1: ValueError, 2: KeyboardInterrupt}[part]

    with KeptThreads(2) as threads, pytest.raises(KeyboardInterrupt):
        threads.map(work, 3)


def test_tasks_in_threads_have_one_core_each_and_are_no_more_than_cores(two_cores):
    found = list(run_tasks(lambda shared, item: (usable_cores(), threading.get_ident()), None, range(20), threads=8))
    assert {cores for cores, _ in found} == {1}
    assert len({thread for _, thread in found}) <= 2


def test_the_first_failure_is_raised_and_nothing_more_begins(two_cores):
    begun = []

    def fail(item):
        begun.append(item)
        raise ValueError(str(item))

    with pytest.raises(ValueError, match="0"):
        map_on_cores(fail, range(1000))
    assert len(begun) < 1000


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("few_ahead", [True, False])
@pytest.mark.parametrize("last", [0, 1, 7])
def test_results_of_the_items_before_one_that_cannot_be_taken_are_handed_out(cores, last, few_ahead, error):
    begun, found = [], []

    def take(item):
        if item == last:
            raise error(f"item {item}")
        return item

    with pytest.raises(error, match=f"^item {last}$"):
        # After a failure, `map` goes on with the item behind.
        found.extend(
            each_on_cores(lambda item: (begun.append(item), item)[1], map(take, range(20)), few_ahead=few_ahead)
        )
    assert found == sorted(begun) == list(range(last))


def test_a_function_that_ends_an_iteration_by_mistake_is_an_error(cores):
    def first_below(item):
        return next(number for number in range(3) if number < item)

    with pytest.raises(RuntimeError, match="StopIteration"):
        map_on_cores(first_below, [2, 1, 0, 1])


def test_on_one_core_an_item_is_gone_before_the_next_one_is_made():
    held = []

    def make():
        for _ in range(3):
            assert [item() for item in held] == [None] * len(held)
            item = np.ones(2)
            held.append(weakref.ref(item))
            yield item
            del item

    with on_one_core():
        assert map_on_cores(np.sum, make()) == [2.0, 2.0, 2.0]


def test_warnings_of_numpy_are_those_that_the_caller_wants(two_cores):
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        map_on_cores(lambda item: np.ones(1) / np.zeros(1), [1, 2])


@pytest.mark.parametrize(
    ("limits", "cores"),
    [
        ({}, None),
        ({"inner": "max 100000\n"}, None),
        ({"inner": "max 100000\n", "outer": "150000 100000\n"}, 2),
        ({"inner": "50000 100000\n", "outer": "400000 100000\n"}, 1),
        ({"inner": "", "outer": "200000 100000\n"}, 2),
        ({"inner": "max\n"}, None),
        ({"inner": "100000\n"}, None),
        ({"inner": "many 100000\n"}, None),
        ({"inner": "100000 0\n"}, None),
        ({"inner": "1 2 3\n"}, None),
        ({"inner": f"{'9' * 5000} 1\n"}, None),
    ],
)
def test_control_groups_limit_the_cores(tmp_path, limits, cores):
    assert _cores_of_groups(*groups_of(tmp_path, **limits)) == cores


def test_names_of_control_groups_may_be_any_bytes(tmp_path):
    groups, own = groups_of(tmp_path, inner="200000 100000\n")
    own.write_bytes(b"3:cpu:/\xff\xfe\n" + own.read_bytes())
    assert _cores_of_groups(groups, own) == 2


def test_no_more_calls_run_at_once_than_there_is_memory_for(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    running, seen, lock = [], [], threading.Lock()

    def call(item):
        with lock:
            running.append(item)
            seen.append(len(running))
        with lock:
            running.remove(item)
        return threading.get_ident()

    assert len(set(map_on_cores(call, range(200), most=3))) <= 3
    assert max(seen) <= 3


def test_a_machine_without_control_groups_has_no_limit(tmp_path):
    assert _cores_of_groups(tmp_path, tmp_path / "none") is None
