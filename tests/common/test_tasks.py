"""Tasks in this process: in order, one by one or in threads, and no more of them in memory than are needed."""

import threading

import numpy as np
import pytest

from quant_pipeline.common.cores import usable_cores
from quant_pipeline.common.tasks import run_tasks


def product(shared, item):
    return shared * item


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_the_order_of_the_items(threads):
    assert list(run_tasks(product, 2, range(20), threads=threads)) == list(range(0, 40, 2))


@pytest.mark.parametrize(("threads", "taken"), [(1, 1), (2, 5)])
def test_items_are_taken_as_results_are(threads, taken):
    items = iter(range(100))
    results = run_tasks(product, 1, items, threads=threads)
    assert next(results) == 0
    assert next(items) == taken
    results.close()


def test_what_is_raised_ends_the_tasks():
    begun = []

    def refuse(shared, item):
        begun.append(threading.get_ident())
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match=r"^item 0$"):
        list(run_tasks(refuse, None, range(50), threads=2))
    assert len(begun) <= 4


def test_warnings_of_numpy_are_those_that_the_caller_wants():
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        list(run_tasks(lambda shared, item: np.ones(1) / np.zeros(1), None, range(4), threads=2))


def test_a_single_task_may_use_every_core():
    (cores,) = run_tasks(lambda shared, item: usable_cores(), None, range(1), threads=2)
    assert cores == usable_cores()
