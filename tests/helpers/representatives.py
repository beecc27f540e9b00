"""Which cases of a test the gate takes: some that stand for all, which `make test-all` takes."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def representatives(cases: Iterable[Any], gate: Collection[Any]) -> list[Any]:
    """Mark as slow all cases but those of the gate, each of which has to be one of the cases."""
    cases = list(cases)
    assert set(gate) <= set(cases), set(gate) - set(cases)
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=() if case in gate else pytest.mark.slow)
        for case in cases
    ]
