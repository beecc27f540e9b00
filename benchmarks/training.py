"""Time of one epoch, of data feeding and peak memory: our networks against Qlib's on the same data.

Both sides get the same processed panel, labels, look-back, sizes and number of threads, in one process and in turn. An
epoch is what each side does in one: Qlib learns, then scores training and validation segment; ours learns and scores
the validation segment. The column ``learning`` compares the learning passes alone. Qlib's loader runs with as many
worker processes as serve it best. Run ``python benchmarks/training.py --help``.
"""

import argparse
import json
import logging
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from qlib_needed import require_qlib
from torch.utils.data import DataLoader

from quant_pipeline.models.algorithms.network_record import NetworkHyper
from quant_pipeline.models.algorithms.networks import (
    ALSTMHyper,
    GRUHyper,
    LSTMHyper,
    TCNHyper,
    TransformerHyper,
)
from quant_pipeline.models.fitted import Samples
from quant_pipeline.models.networks.cube import SessionCube
from quant_pipeline.models.networks.training import NetworkTraining

require_qlib()

from qlib.data.dataset import TSDatasetH
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import StaticDataLoader
from qlib.model.utils import ConcatDataset

WINDOW, FACTORS, HIDDEN, LAYERS, CHANNELS, KERNEL = 20, 20, 64, 2, 128, 5
BATCH = 800
OUR_EPOCHS = 3


@dataclass(frozen=True)
class Rival:
    """Our hyper-parameters and Qlib's model of the same size.

    ``gives_weights`` tells whether Qlib's loop expects a weight beside every row; ``turned`` repairs its convolutional
    network, which takes the sessions of a window for its channels.
    """

    hyper: NetworkHyper
    model: str
    options: dict[str, object]
    gives_weights: bool = True
    turned: bool = False


def rivals(threads: int) -> dict[str, Rival]:
    """Return the pairs, by name."""
    size = {"window": WINDOW, "hidden": HIDDEN, "layers": LAYERS, "dropout": 0.0, "threads": threads}
    attentive = {name: value for name, value in size.items() if name != "window"} | {"heads": 2, "span": 11}
    recurrent = {"d_feat": FACTORS, "hidden_size": HIDDEN, "num_layers": LAYERS}
    encoder = {"d_feat": FACTORS, "d_model": HIDDEN, "nhead": 2, "num_layers": LAYERS}
    wide = TransformerHyper(**attentive, feedforward=2048)
    usual = TransformerHyper(**attentive, feedforward=4 * HIDDEN)
    convolutional = {"d_feat": FACTORS, "n_chans": CHANNELS, "kernel_size": KERNEL, "num_layers": LAYERS}
    tcn = TCNHyper(channels=CHANNELS, kernel=KERNEL, levels=LAYERS, dropout=0.0, threads=threads)
    return {
        "gru": Rival(GRUHyper(**size), "pytorch_gru_ts.GRU", recurrent),
        "lstm": Rival(LSTMHyper(**size), "pytorch_lstm_ts.LSTM", recurrent),
        "alstm": Rival(ALSTMHyper(**size), "pytorch_alstm_ts.ALSTM", recurrent),
        "tcn": Rival(tcn, "pytorch_tcn_ts.TCN", convolutional, gives_weights=False, turned=True),
        "transformer": Rival(wide, "pytorch_transformer_ts.TransformerModel", encoder, gives_weights=False),
        "transformer_usual_width": Rival(
            usual, "pytorch_transformer_ts.TransformerModel", encoder, gives_weights=False
        ),
    }


@dataclass(frozen=True)
class Data:
    """One panel with labels, and its sessions of training and validation."""

    features: pd.DataFrame
    labels: pd.Series
    segments: dict[str, pd.DatetimeIndex]

    def samples(self, segment: str) -> Samples:
        """Return the rows of a segment as our models take them."""
        days = self.features.index.get_level_values("datetime")
        rows = np.flatnonzero(days.isin(self.segments[segment]))
        return Samples(self.features, rows, self.labels.to_numpy()[rows])


def make_data(instruments: int, sessions: int) -> Data:
    """Make noise with a weak relation; a fifth of the sessions is for validation."""
    days = pd.bdate_range("2015-01-05", periods=WINDOW + sessions + sessions // 5, unit="ns")
    names = pd.array([f"I{number:04d}" for number in range(instruments)], dtype="str")
    index = pd.MultiIndex.from_product([days, names], names=["datetime", "instrument"])
    random = np.random.default_rng(3)
    values = random.normal(size=(len(index), FACTORS)).astype("float32")
    features = pd.DataFrame(values, index=index, columns=[f"F{number}" for number in range(FACTORS)])
    labels = 0.1 * features["F0"] + random.normal(size=len(index)).astype("float32")
    end = WINDOW + sessions
    return Data(features, labels.rename("label"), {"train": days[WINDOW:end], "valid": days[end:]})


def qlib_samplers(data: Data) -> dict[str, object]:
    """Prepare the same data as Qlib's models take it."""
    columns = pd.MultiIndex.from_product([["feature"], data.features.columns])
    table = data.features.set_axis(columns, axis=1)
    table[("label", "label")] = data.labels
    handler = DataHandlerLP(data_loader=StaticDataLoader(table), infer_processors=[], learn_processors=[])
    segments = {name: (days[0], days[-1]) for name, days in data.segments.items()}
    dataset = TSDatasetH(handler=handler, segments=segments, step_len=WINDOW)
    samplers = {}
    for name in segments:
        samplers[name] = dataset.prepare(name, col_set=["feature", "label"], data_key=DataHandlerLP.DK_L)
        samplers[name].config(fillna_type="ffill+bfill")
    return samplers


def loader_of(sampler: object, workers: int, *, shuffle: bool, gives_weights: bool) -> DataLoader:
    """Make the loader that Qlib's ``fit`` makes."""
    source = ConcatDataset(sampler, np.ones(len(sampler))) if gives_weights else sampler
    return DataLoader(source, batch_size=BATCH, shuffle=shuffle, num_workers=workers, drop_last=True)


class Turned(torch.nn.Module):
    """Qlib's convolutional network with sessions and factors in the right order."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Map ``(rows, sessions, factors)`` to scores."""
        return self.network(windows.transpose(1, 2))


def timed(work: object) -> float:
    """Return the wall time of a call in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def time_qlib(rival: Rival, samplers: dict[str, object], workers: int, threads: int) -> tuple[float, float]:
    """Return the seconds of the learning pass and of the whole epoch."""
    torch.set_num_threads(threads)
    module, name = rival.model.rsplit(".", 1)
    model = getattr(import_module(f"qlib.contrib.model.{module}"), name)(
        **rival.options, n_jobs=workers, GPU=-1, batch_size=BATCH, seed=1
    )
    if rival.turned:
        model.TCN_model = Turned(model.TCN_model)
    train = loader_of(samplers["train"], workers, shuffle=True, gives_weights=rival.gives_weights)
    valid = loader_of(samplers["valid"], workers, shuffle=False, gives_weights=rival.gives_weights)
    learning = timed(lambda: model.train_epoch(train))
    scoring = timed(lambda: (model.test_epoch(train), model.test_epoch(valid)))
    return learning, learning + scoring


def time_ours(hyper: NetworkHyper, data: Data) -> tuple[float, float]:
    """Return the median seconds of the learning pass and of the whole epoch."""
    training = NetworkTraining(data.samples("train"), data.samples("valid"), hyper, seed=1)
    learning, scoring = (
        np.array(seconds)
        for seconds in zip(
            *((timed(training.run_epoch), timed(training.validation_rank_ic)) for _ in range(OUR_EPOCHS)), strict=True
        )
    )
    return float(np.median(learning)), float(np.median(learning + scoring))


def feed_ours(data: Data) -> None:
    """Prepare the array and read all its blocks once."""
    train, valid = data.samples("train"), data.samples("valid")
    cube = SessionCube(data.features, np.concatenate([train.rows, valid.rows]), WINDOW)
    for samples in (train, valid):
        for block in cube.blocks(cube.labels(samples), 20, np.random.default_rng(1)):
            torch.from_numpy(block.inputs).sum()


def feed_qlib(data: Data, workers: int) -> None:
    """Prepare the samplers and read all their batches once."""
    for sampler in qlib_samplers(data).values():
        for batch in loader_of(sampler, workers, shuffle=True, gives_weights=False):
            batch.sum()


def peak_memory(side: str, instruments: int, sessions: int) -> float:
    """Run one epoch of the GRU in a fresh process and return how far its memory rose, in MB."""
    command = [
        sys.executable,
        __file__,
        "--memory",
        side,
        "--instruments",
        str(instruments),
        "--sessions",
        str(sessions),
    ]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def report_memory(side: str, data: Data) -> None:
    """Print how far the memory of this process rises in one epoch of the GRU."""
    before = memory_mb("VmRSS")
    rival = rivals(1)["gru"]
    if side == "ours":
        time_ours(rival.hyper, data)
    else:
        time_qlib(rival, qlib_samplers(data), 0, 1)
    print(memory_mb("VmHWM") - before)


def memory_mb(field: str) -> float:
    """Read a figure of this process from the kernel: ``VmRSS`` is in use now, ``VmHWM`` was the most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def main() -> None:
    """Print one table, and one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instruments", type=int, default=300)
    parser.add_argument("--sessions", type=int, default=40, help="sessions of the training segment")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--networks", nargs="*", help="names of networks; all without it")
    parser.add_argument("--memory", choices=["ours", "qlib"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    warnings.simplefilter("ignore")
    data = make_data(arguments.instruments, arguments.sessions)
    if arguments.memory:
        report_memory(arguments.memory, data)
        return
    feeding = {workers: timed(lambda workers=workers: feed_qlib(data, workers)) for workers in (0, 2)}
    workers = min(feeding, key=feeding.get)
    ours = min(timed(lambda: feed_ours(data)) for _ in range(3))
    figures = {"dataset_vs_qlib": round(feeding[workers] / ours, 1)}
    samplers = qlib_samplers(data)
    print(
        f"{len(samplers['train'])} rows to learn from, {workers} workers in Qlib's loader, {arguments.threads} threads"
    )
    print(f"{'':<24} {'Qlib s':>8} {'ours s':>8} {'ratio':>7} {'learning':>9}")
    print(f"{'dataset':<24} {feeding[workers]:8.2f} {ours:8.3f} {feeding[workers] / ours:7.1f}", flush=True)
    known: dict[str, tuple[float, float]] = {}
    for name, rival in rivals(arguments.threads).items():
        if arguments.networks and name not in arguments.networks:
            continue
        if rival.model not in known:
            known[rival.model] = time_qlib(rival, samplers, workers, arguments.threads)
        (their_learning, theirs), (learning, epoch) = known[rival.model], time_ours(rival.hyper, data)
        figures[f"{name}_epoch_vs_qlib"] = round(theirs / epoch, 1)
        print(
            f"{name:<24} {theirs:8.2f} {epoch:8.3f} {theirs / epoch:7.1f} {their_learning / learning:9.1f}", flush=True
        )
    memory = {side: peak_memory(side, arguments.instruments, arguments.sessions) for side in ("ours", "qlib")}
    print(f"memory of a GRU epoch, MB: ours {memory['ours']:.0f}, Qlib {memory['qlib']:.0f}")
    figures |= {"peak_memory_mb": round(memory["ours"]), "qlib_peak_memory_mb": round(memory["qlib"])}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
