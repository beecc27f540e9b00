"""Machine code on disk: it serves the next process, and none after a kernel that is inside has changed."""

import os
import subprocess
import sys

RATE = "from quant_pipeline.strategy.compiled import inlined\n\n\n@inlined\ndef fee(value):\n    return value * {}\n"
DEALING = """from quant_pipeline.strategy.compiled import kernel
from rate import fee


@kernel
def deal(value):
    return value - fee(value)


print(deal(100), sum(deal.stats.cache_hits.values()))
"""


def run(folder):
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT"}
    options = {"cwd": folder, "env": environment, "check": True, "capture_output": True, "text": True}
    value, hits = subprocess.run([sys.executable, "dealing.py"], **options).stdout.split()
    return int(value), int(hits)


def test_an_edited_kernel_is_compiled_into_its_callers_anew(tmp_path):
    (tmp_path / "rate.py").write_text(RATE.format(2))
    (tmp_path / "dealing.py").write_text(DEALING)
    assert run(tmp_path) == (-100, 0)
    assert run(tmp_path) == (-100, 1)
    (tmp_path / "rate.py").write_text(RATE.format(3))
    assert run(tmp_path) == (-200, 0)
