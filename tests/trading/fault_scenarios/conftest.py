"""One trading day for each scenario."""

import pytest

from tests.trading.fault_scenarios.day import Day


@pytest.fixture
def day(tmp_path):
    return lambda *faults, **options: Day(tmp_path, *faults, **options)
