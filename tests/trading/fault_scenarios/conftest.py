"""One trading day for each scenario."""

import pytest

from tests.helpers.trading_day import Day


@pytest.fixture
def day(tmp_path):
    return lambda *faults, **options: Day(tmp_path, *faults, **options)
