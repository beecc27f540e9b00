"""Seconds of the clock of an epoch and its validation, by network: one thread, and two on one core and on two.

The three take turns, and the shortest time of each counts, as other programs may use the machine; the weights with one
core and with two have to be the same bits. Inputs are those of `second_core.py`.
``python benchmarks/networks.py --names 500 --years 8 --rounds 6 --only gru lstm``.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from second_core_child import SEED, _samples, make_inputs

from quant_pipeline.common.allocation import keep_large_blocks
from quant_pipeline.common.cores import on_one_core, usable_cores
from quant_pipeline.models.algorithms.network_record import NetworkHyper
from quant_pipeline.models.algorithms.networks import (
    ALSTMHyper,
    GATsHyper,
    GRUHyper,
    LocalformerHyper,
    LSTMHyper,
    MLPHyper,
    SFMHyper,
    TabNetHyper,
    TCNHyper,
    TRAHyper,
    TransformerHyper,
)
from quant_pipeline.models.fitted import Samples
from quant_pipeline.models.networks.training import NetworkTraining
from quant_pipeline.models.randomness import seeded

NETWORKS = {
    "gru": GRUHyper,
    "lstm": LSTMHyper,
    "alstm": ALSTMHyper,
    "sfm": SFMHyper,
    "mlp": MLPHyper,
    "tcn": TCNHyper,
    "transformer": TransformerHyper,
    "localformer": LocalformerHyper,
    "gats": GATsHyper,
    "tra": TRAHyper,
    "tabnet": TabNetHyper,
}
WAYS = {
    "one_thread": (1, 1),
    "two_threads_one_core": (2, 1),
    "two_threads_two_cores": (2, 2),
}
"""Threads of the network, and cores."""


def measure(kind: type[NetworkHyper], train: Samples, valid: Samples, rounds: int) -> dict[str, float]:
    """Train a network in each way, in turn, and return the shortest seconds of each."""
    trainings = {}
    for way, (threads, _) in WAYS.items():
        with seeded(SEED):
            trainings[way] = NetworkTraining(train, valid, kind(threads=threads), SEED)
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    # In the first round memory is asked for.
    for _ in range(rounds + 1):
        for way, training in trainings.items():
            with on_one_core() if WAYS[way][1] == 1 else nullcontext(), seeded(SEED):
                began = time.perf_counter()
                training.run_epoch()
                training.validation_rank_ic()
                seconds[way].append(time.perf_counter() - began)
    one, two = (trainings[f"two_threads_{cores}"].weights() for cores in ("one_core", "two_cores"))
    if not all(torch.equal(value, two[name]) for name, value in one.items()):
        sys.exit(f"{kind.__name__}: the weights with one core and with two are not the same bits")
    return {way: round(min(found[1:]), 3) for way, found in seconds.items()}


def main() -> None:
    """Print a table, and one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=500)
    parser.add_argument("--years", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--only", nargs="+", choices=list(NETWORKS), default=list(NETWORKS), help="networks to measure")
    parser.add_argument("--folder", type=Path, help="keep the inputs there, and take them from there")
    given = parser.parse_args()
    if usable_cores() < 2:
        sys.exit("this machine has one core: there is nothing to compare")
    logging.disable(logging.INFO)
    keep_large_blocks()  # As commands that compute do.
    found = {}
    with tempfile.TemporaryDirectory() as own:
        folder = given.folder or Path(own)
        make_inputs(folder, given.names, given.years)
        train, valid = _samples(folder, (60, 310, 360))
        print("| network | one thread, s | two threads on one core | on two cores | ratio of these |")
        print("| --- | --- | --- | --- | --- |")
        for name in given.only:
            found[name] = measure(NETWORKS[name], train, valid, given.rounds)
            groups, two = found[name]["two_threads_one_core"], found[name]["two_threads_two_cores"]
            cells = " | ".join(f"{seconds:.2f}" for seconds in found[name].values())
            print(f"| {name} | {cells} | {groups / two:.2f} |", flush=True)
    print(json.dumps({"names": given.names, "years": given.years, "networks": found}))


if __name__ == "__main__":
    main()
