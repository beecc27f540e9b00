"""A finished backtest of three sessions."""

import pytest

from tests.helpers.handed_over import three_sessions


@pytest.fixture
def finished():
    return three_sessions()
