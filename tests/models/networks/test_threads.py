"""Networks that are trained in threads of one process are their serial twins, bit for bit."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from quant_pipeline.models.algorithms.networks import GRUHyper, MLPHyper
from quant_pipeline.models.networks.copies import threads_of_torch
from quant_pipeline.models.networks.training import fit_network

HYPERS = [
    GRUHyper(window=3, hidden=8, epochs=2, dropout=0.3),
    MLPHyper(hidden=[8], epochs=2, dropout=0.3),
    GRUHyper(window=3, hidden=8, epochs=2, dropout=0.3),
]


def test_networks_trained_in_threads_are_their_serial_twins_and_leave_the_global_generators_alone(samples):
    def weights(hyper):
        return fit_network(samples["train"], samples["valid"], hyper, seed=7).network.state_dict()

    torch.manual_seed(1)
    np.random.seed(1)
    expected = torch.rand(3), np.random.random(3)
    torch.manual_seed(1)
    np.random.seed(1)
    alone = [weights(hyper) for hyper in HYPERS]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(weights, HYPERS))
    for one, other in zip(alone, together, strict=True):
        for name, value in one.items():
            assert torch.equal(value, other[name]), name
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.random(3), expected[1])


def test_an_interruption_while_the_number_of_threads_is_set_leaves_the_one_of_before(monkeypatch):
    before, set_number = torch.get_num_threads(), torch.set_num_threads

    def interrupted(count):
        set_number(count)
        if count == before + 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(torch, "set_num_threads", interrupted)
    with pytest.raises(KeyboardInterrupt), threads_of_torch(before + 1):
        pass
    found = torch.get_num_threads()
    set_number(before)
    assert found == before
