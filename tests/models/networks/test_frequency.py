"""The state frequency memory against its formulas, written again with complex numbers, one instrument at a time."""

import numpy as np
import pytest
import torch

from quant_pipeline.models.algorithms.networks import SFMHyper

FACTORS, HIDDEN, FREQUENCIES, STEPS, INSTRUMENTS = 3, 5, 4, 9, 2


@pytest.fixture
def network():
    torch.manual_seed(1)
    return SFMHyper(window=1, hidden=HIDDEN, frequencies=FREQUENCIES).make_network(FACTORS).eval()


@pytest.fixture
def block():
    return torch.randn(STEPS, INSTRUMENTS, FACTORS, generator=torch.Generator().manual_seed(2))


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def outputs_by_the_paper(network, series):
    """Follow Zhang, Aggarwal and Qi (2017) step by step for the series of one instrument."""
    weights = {name: value.numpy().astype("float64") for name, value in network.state_dict().items()}
    names, parts = ["input", "write", "output", "states", "frequencies"], np.cumsum(network.parts)[:-1]
    W, U, b = (
        dict(zip(names, np.split(weights[key], parts), strict=True))
        for key in ("from_input.weight", "from_output.weight", "from_input.bias")
    )
    omega = 2 * np.pi * np.arange(FREQUENCIES) / FREQUENCIES
    memory, h, found = np.zeros((HIDDEN, FREQUENCIES), dtype="complex128"), np.zeros(HIDDEN), []
    for t, x in enumerate(series, start=1):
        entering = {name: W[name] @ x + U[name] @ h + b[name] for name in names}
        forget = np.outer(sigmoid(entering["states"]), sigmoid(entering["frequencies"]))
        new = sigmoid(entering["input"]) * np.tanh(entering["write"])
        memory = forget * memory + np.outer(new, np.exp(1j * omega * t))
        c = np.tanh(np.abs(memory) @ weights["combination"] + weights["combination_bias"])
        h = sigmoid(entering["output"] + weights["from_memory.weight"] @ c) * c
        found.append(h)
    return np.array(found)


def test_outputs_are_those_of_the_formulas(network, block):
    with torch.no_grad():
        outputs = network.outputs(block)
    assert outputs.shape == (STEPS, INSTRUMENTS, HIDDEN)
    for instrument in range(INSTRUMENTS):
        expected = outputs_by_the_paper(network, block[:, instrument].numpy().astype("float64"))
        np.testing.assert_allclose(outputs[:, instrument].numpy(), expected, rtol=0, atol=2e-4)


def test_a_series_without_anything_to_remember_has_finite_slopes(network):
    block = torch.zeros(STEPS, INSTRUMENTS, FACTORS)
    network.from_input.bias.data[:] = 0
    network(block).sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in network.parameters())
