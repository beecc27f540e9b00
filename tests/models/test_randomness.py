"""Randomness of a fit is its own: it takes nothing from the process and leaves nothing behind."""

import ast
import random
import re
from pathlib import Path

import numpy as np
import optuna
import torch

import quant_pipeline
from quant_pipeline.models.algorithms.qlib import QlibHyper
from quant_pipeline.models.qlib_adapter import fit_qlib, load_qlib
from quant_pipeline.models.randomness import seeded
from quant_pipeline.models.tuning import Dimension, sampler_of
from quant_pipeline.testing.algorithm_contract import generator_states

SEEDING = {"seed", "manual_seed", "manual_seed_all", "seed_all"}


def draws():
    return np.random.random(3).tolist(), torch.rand(3).tolist(), [random.random() for _ in range(3)]


def test_a_seeded_block_draws_the_same_numbers_and_leaves_the_generators_of_the_process_alone():
    before = np.random.get_state()[1].copy(), torch.get_rng_state().clone(), random.getstate()
    with seeded(7):
        first = draws()
    with seeded(7):
        second = draws()
    assert first == second
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
    assert random.getstate() == before[2]


def test_tuning_draws_from_a_generator_of_its_own():
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1))
    before = generator_states()
    for _ in range(12):  # The first ten are drawn at random, and the others by what these came to.
        study.sampler = sampler_of(study, 3)
        trial = study.ask()
        value = Dimension(low=0.1, high=1.0).suggest(trial, "x") + Dimension(choices=[1, 2]).suggest(trial, "y")
        study.tell(trial, value)
    assert generator_states() == before


def test_loading_a_network_of_qlib_that_seeds_the_process_when_it_is_made_leaves_it_alone(samples):
    arguments = {"d_feat": 3, "hidden_size": 4, "n_epochs": 1, "batch_size": 500, "GPU": -1, "seed": 1}
    hyper = QlibHyper(import_path="qlib.contrib.model.pytorch_gru.GRU", arguments=arguments)
    before = generator_states()
    model = fit_qlib(samples["train"], samples["valid"], hyper, seed=1)
    assert model.curve["metric"].tolist() == ["train", "valid"]
    load_qlib(model.weights(), ["signal", "noise_a", "noise_b"], hyper)
    assert generator_states() == before


def _calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func)


def test_no_module_but_one_touches_the_generators_of_the_process():
    """Search, fusion, bands, simulated markets: whatever draws does so from a generator that it made."""
    own = {"default_rng", "Generator", "SeedSequence", "Random", "fork_rng"}
    found = []
    for file in Path(quant_pipeline.__file__).parent.rglob("*.py"):
        tree = ast.parse(file.read_text())
        modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        shared = ("np.random.", "torch.random.", *(["random."] if "random" in modules else []))
        for call in _calls(tree):
            drawn_by = [re.match(r"\w+", call.removeprefix(prefix))[0] for prefix in shared if call.startswith(prefix)]
            if call.rpartition(".")[2] in SEEDING or set(drawn_by) - own:
                found.append((file.name, call))
    assert sorted(found) == [
        ("algorithm_contract.py", "np.random.get_state"),
        ("algorithm_contract.py", "random.getstate"),
        ("randomness.py", "np.random.get_state"),
        ("randomness.py", "np.random.seed"),
        ("randomness.py", "np.random.set_state"),
        ("randomness.py", "random.getstate"),
        ("randomness.py", "random.seed"),
        ("randomness.py", "random.setstate"),
        ("randomness.py", "torch.manual_seed"),
    ]
