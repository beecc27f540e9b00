"""Other engines that compute the same factors: Qlib in a process of its own, KunQuant where it is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

CORES = len(os.sched_getaffinity(0))


def run_child(script: str, *arguments: str) -> dict:
    """Run a Python script of this folder and return the JSON object of its last line, with its wall time."""
    started = time.perf_counter()
    path = Path(__file__).with_name(script)
    done = subprocess.run([sys.executable, str(path), *arguments], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "process_seconds": seconds}


def peak_megabytes() -> float:
    """Largest resident memory of this process so far, and of the largest of its finished children.

    The kernel counts the parent's pages for a process that was just forked off it, so its own figure comes from its
    address space.
    """
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    status = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    return (int(status) + children) / 1024


def _processor_seconds() -> float:
    """Seconds that this process and its finished children have computed."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def ask_qlib(provider: Path, library: str, out: Path, newest: bool = False) -> tuple[dict, np.ndarray]:
    """Evaluate a set by Qlib with all cores; return its figures and its values, ``(row, factor)``."""
    figures = run_child("factor_peers.py", str(provider), library, str(out), str(int(newest)))
    return figures, np.load(out, mmap_mode="r")


def _evaluate_by_qlib(provider: str, library: str, out: str, newest: str) -> None:
    """Body of the child of `ask_qlib`."""
    import logging

    import qlib
    from qlib.data import D

    from quant_pipeline.factors.feature_sets import LIBRARIES

    qlib.init(provider_uri=provider, region="us", logging_level=logging.ERROR, kernels=CORES)
    names = sorted(D.list_instruments(D.instruments("all"), as_list=True))
    last = D.calendar()[-1] if int(newest) else None
    fields = list(LIBRARIES[library].values())
    before, started = _processor_seconds(), time.perf_counter()
    values = D.features(names, fields, start_time=last, end_time=last, disk_cache=0)
    seconds = time.perf_counter() - started
    processor = _processor_seconds() - before
    figures = {"seconds": seconds, "processor_seconds": processor, "peak_memory_mb": peak_megabytes()}
    np.save(out, values.to_numpy(np.float32))
    print(json.dumps(figures))


class KunQuant:
    """Alpha158 by KunQuant in its accurate mode and its faster layout, on matrices ``(session, instrument)``.

    Parameters
    ----------
    fields
        Name to matrix; the number of instruments is a multiple of eight.
    """

    def __init__(self, fields: dict[str, np.ndarray]):
        from KunQuant.runner import KunRunner

        self._runner = KunRunner
        self._library, self._width = _compile_by_kunquant()
        self._module = self._library.getModule("alpha158")
        self._executor = KunRunner.createMultiThreadExecutor(CORES)
        self.sessions, instruments = fields["close"].shape
        wide = {**fields, "amount": fields["vwap"] * fields["volume"]}
        del wide["vwap"]
        blocks = (self.sessions, instruments // self._width, self._width)
        self._inputs = {name: np.ascontiguousarray(m.reshape(blocks).swapaxes(0, 1)) for name, m in wide.items()}
        names = self._module.getOutputNames()
        shared = np.zeros((len(names), blocks[1], blocks[0], blocks[2]))
        self._outputs = dict(zip(names, shared, strict=True))

    @staticmethod
    def installed() -> bool:
        """Whether the peer can be asked."""
        return importlib.util.find_spec("KunQuant") is not None

    def run(self) -> float:
        """Compute all factors and return the seconds."""
        started = time.perf_counter()
        self._runner.runGraph(self._executor, self._module, self._inputs, 0, self.sessions, self._outputs)
        return time.perf_counter() - started

    def values(self, name: str) -> np.ndarray | None:
        """Return a factor as ``(session, instrument)``; None when the peer has none of that name."""
        found = self._outputs.get(name)
        return None if found is None else found.swapaxes(0, 1).reshape(self.sessions, -1)


def _compile_by_kunquant():
    from KunQuant.Driver import KunCompilerConfig
    from KunQuant.jit import cfake
    from KunQuant.Op import Builder, Input, Output
    from KunQuant.predefined.Alpha158 import AllData
    from KunQuant.Stage import Function

    builder = Builder()
    with builder:
        data = AllData(**{name: Input(name) for name in ("open", "high", "low", "close", "volume", "amount")})
        prices = [("OPEN", data.open), ("HIGH", data.high), ("LOW", data.low), ("VWAP", data.vwap)]
        rolling = {"windows": [5, 10, 20, 30, 60]}
        values, names = data.build({"kbar": {}, "price": {"windows": [0], "feature": prices}, "rolling": rolling})
        for value, name in zip(values, names, strict=True):
            Output(value, name)
    wide = "avx512f" in Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else False
    config = KunCompilerConfig(
        dtype="double",
        blocking_len=8 if wide else 4,
        partition_factor=4,
        input_layout="STs",
        output_layout="STs",
        options={"opt_reduce": True, "no_fast_stat": True},
    )
    machine = cfake.X64CPUFlags(avx512=True, avx512dq=True, avx512vl=True) if wide else cfake.NativeCPUFlags()
    target = [("alpha158", Function(builder.ops), config)]
    return cfake.compileit(target, "alpha158", cfake.CppCompilerConfig(machine=machine)), config.blocking_len


if __name__ == "__main__":
    _evaluate_by_qlib(*sys.argv[1:])
