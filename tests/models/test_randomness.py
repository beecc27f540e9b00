"""Randomness of a fit is its own: it takes nothing from the process and leaves nothing behind."""

import ast
from pathlib import Path

import numpy as np
import torch

import quant_pipeline
from quant_pipeline.models.randomness import seeded

SEEDING = {"seed", "manual_seed", "manual_seed_all", "seed_all"}


def draws():
    return np.random.random(3).tolist(), torch.rand(3).tolist()


def test_a_seeded_block_draws_the_same_numbers_and_leaves_the_generators_of_the_process_alone():
    before = np.random.get_state()[1].copy(), torch.get_rng_state().clone()
    with seeded(7):
        first = draws()
    with seeded(7):
        second = draws()
    assert first == second
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


def test_no_other_module_seeds_a_generator_of_the_process():
    found = []
    for file in Path(quant_pipeline.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SEEDING:
                found.append((file.name, ast.unparse(node.func)))
    assert sorted(found) == [("randomness.py", "np.random.seed"), ("randomness.py", "torch.manual_seed")]
