"""Accounts whose broker's records are read, translated and booked, without a network between."""

import pytest

from tests.helpers.booked_account import BookedAccount


@pytest.fixture
def account():
    return BookedAccount()


@pytest.fixture
def new_account():
    """Make any number of accounts."""
    return BookedAccount
