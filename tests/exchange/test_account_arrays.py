import numpy as np
import pytest

from quant_pipeline.exchange.account_arrays import NOT_HELD, close_slot, new_accounts, open_slot


@pytest.mark.parametrize("n_instruments", [32_767, 40_000])
def test_the_last_instrument_of_a_large_market_finds_the_last_slot(n_instruments):
    accounts = new_accounts(1, n_instruments, 0, n_orders=1)
    for instrument in range(n_instruments):
        open_slot(accounts, 0, instrument, 1, 0)
    assert accounts.slot_of[0, n_instruments - 1] == n_instruments - 1
    assert accounts.slot_instrument[0, n_instruments - 1] == n_instruments - 1
    close_slot(accounts, 0, 0)
    assert accounts.slot_of[0, 0] == NOT_HELD
    assert accounts.slot_of[0, n_instruments - 1] == 0
    assert np.unique(accounts.slot_of[0]).size == n_instruments
