"""Machine code on disk: it serves the next process, and none after what is inside has changed."""

import ast
import os
import subprocess
import sys

from quant_pipeline.cli.compile import PARTS
from quant_pipeline.common.compiled import _KERNEL_PACKAGES

WAYS_IN = ("entry", "compiled", "allocating")
DECORATORS = ("kernel", "shared", "inner", "inlined")
UNITS = "PER_UNIT = {}\n"
RATE = """from quant_pipeline.common.compiled import inlined
from units import PER_UNIT


@inlined
def fee(value):
    return value * {} // PER_UNIT
"""
DEALING = """from quant_pipeline.common.compiled import kernel
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


def test_an_edited_kernel_or_constant_is_compiled_into_its_callers_anew(tmp_path):
    (tmp_path / "units.py").write_text(UNITS.format(1))
    (tmp_path / "rate.py").write_text(RATE.format(2))
    (tmp_path / "dealing.py").write_text(DEALING)
    assert run(tmp_path) == (-100, 0)
    assert run(tmp_path) == (-100, 1)
    (tmp_path / "rate.py").write_text(RATE.format(4))
    assert run(tmp_path) == (-300, 0)
    (tmp_path / "units.py").write_text(UNITS.format(4))
    assert run(tmp_path) == (0, 0)
    assert run(tmp_path) == (0, 1)


TERMS = """from typing import NamedTuple


class {}(NamedTuple):
    amount: int
"""
TYPED = """from quant_pipeline.common.compiled import kernel
from terms import {0}


@kernel
def deal(terms):
    return terms.amount


print(deal({0}(3)), sum(deal.stats.cache_hits.values()))
"""


def test_kept_code_of_another_version_whose_types_are_gone_is_compiled_anew(tmp_path):
    for name in ("OldTerms", "NewTerms"):
        (tmp_path / "terms.py").write_text(TERMS.format(name))
        (tmp_path / "dealing.py").write_text(TYPED.format(name))
        assert run(tmp_path) == (3, 0)
        assert run(tmp_path) == (3, 1)


def test_half_an_index_of_kept_code_is_compiled_anew(tmp_path):
    (tmp_path / "units.py").write_text(UNITS.format(1))
    (tmp_path / "rate.py").write_text(RATE.format(2))
    (tmp_path / "dealing.py").write_text(DEALING)
    assert run(tmp_path) == (-100, 0)
    (index,) = (tmp_path / "__pycache__").glob("dealing.deal-*.nbi")
    index.write_bytes(index.read_bytes()[:60])
    assert run(tmp_path) == (-100, 0)


def test_part_of_kernels_refuses_a_call_from_python_and_does_not_end_the_process(tmp_path):
    (tmp_path / "units.py").write_text(UNITS.format(1))
    (tmp_path / "rate.py").write_text(RATE.format(2))
    (tmp_path / "dealing.py").write_text(
        "from rate import fee\ntry:\n    fee(1)\nexcept TypeError as error:\n    print('as a part' in str(error), 0)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT"}
    done = subprocess.run(
        [sys.executable, "dealing.py"], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["True", "0"]


def test_only_kernels_call_parts_of_kernels(project_path):
    """Code without a way in from Python serves no other function; tests and commands would find out too late."""
    sources = project_path / "src"
    modules = {
        ".".join(file.relative_to(sources).with_suffix("").parts): ast.parse(file.read_text())
        for file in sources.rglob("*.py")
    }
    functions = {name: [node for node in module.body if is_function(node)] for name, module in modules.items()}
    parts = {
        (name, node.name)
        for name, found in functions.items()
        for node in found
        if decorated(node, ("inner", "inlined"))
    }
    assert len(parts) > 100
    for name, module in modules.items():
        imports = [node for node in ast.walk(module) if isinstance(node, ast.ImportFrom)]
        known = {alias.name for node in imports for alias in node.names if (node.module, alias.name) in parts}
        known |= {function.name for function in functions[name] if (name, function.name) in parts}
        every = [node for node in ast.walk(module) if is_function(node)]
        others = [function for function in every if not decorated(function, WAYS_IN + DECORATORS)]
        called = {node.func for function in others for node in ast.walk(function) if isinstance(node, ast.Call)}
        assert not {function.id for function in called if isinstance(function, ast.Name)} & known, name


def test_a_decision_is_compiled_once_for_order_generation_backtest_and_search():
    from quant_pipeline.cli.small_market import SmallMarket
    from quant_pipeline.exchange.kernels import execute_pending_orders
    from quant_pipeline.strategy.decision import decide

    market = SmallMarket()
    for step in PARTS["trading"]:
        getattr(market, step)()
    for kernel in (decide, execute_pending_orders):
        assert len(kernel._cache._cache_file._load_index()) == 1


def test_kernels_take_nothing_from_files_that_their_machine_code_does_not_belong_to(project_path):
    """Constants and other kernels are frozen into machine code; its digest covers its own folder and those below."""
    sources = project_path / "src"
    modules = {file: file.read_text() for file in sources.rglob("*.py")}
    modules = {file: ast.parse(text) for file, text in modules.items() if "common.compiled import" in text}
    assert len(modules) > 10
    below = tuple(f"quant_pipeline.{package}" for package in ("common", *_KERNEL_PACKAGES))
    for file, module in modules.items():
        own = ".".join(file.relative_to(sources).parent.parts)
        imports = [node for node in ast.walk(module) if isinstance(node, ast.ImportFrom)]
        foreign = [node for node in imports if not str(node.module).startswith((own, *below))]
        named = {name.asname or name.name for node in foreign if "quant_pipeline" in node.module for name in node.names}
        kernels = [node for node in module.body if isinstance(node, ast.FunctionDef) and is_kernel(node)]
        used = {node.id for kernel in kernels for node in ast.walk(kernel) if isinstance(node, ast.Name)}
        assert not named & used, file


def is_function(node):
    return isinstance(node, ast.FunctionDef)


def is_kernel(function):
    return decorated(function, DECORATORS)


def decorated(function, names):
    return any(getattr(decorator, "id", None) in names for decorator in function.decorator_list)
