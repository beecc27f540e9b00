"""Kept machine code: found again, never trusted when it is damaged or foreign, and never fed with other arrays."""

import os
import subprocess
import sys
import threading

import llvmlite.binding as llvm
import numpy as np
import pytest

from quant_pipeline.common.exceptions import MachineCodeError
from quant_pipeline.common.machine_code import KernelLibrary, kept_code
from quant_pipeline.factors.kernels.entries import REORDER, cut_tiles


class SmallLibrary(KernelLibrary):
    """One kernel that compiles within a second; counts how often it is compiled."""

    def __init__(self):
        super().__init__("small", REORDER)
        self.compiled = 0

    def _compile(self):
        self.compiled += 1
        return super()._compile()


def reverse(library):
    """Run the kernel, check what it has done, and return how often its library was compiled."""
    values = np.arange(10, dtype=np.uint32).reshape(2, 5)
    # Five rows of one session, the last one first.
    strips = np.array([[4, 3, 2, 1, 0], [0] * 5, [1] * 5, [0] * 5], np.uint32)
    session = np.array([0, 5])
    library.call(REORDER, values, session, session.copy(), strips, np.empty(5, np.uint32), np.empty(16, np.int64))
    assert values.tolist() == [[4, 3, 2, 1, 0], [9, 8, 7, 6, 5]]
    return library.compiled


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_the_second_process_finds_what_the_first_has_compiled(folder):
    assert reverse(SmallLibrary()) == 1
    (kept,) = folder.iterdir()
    before = kept.stat().st_mtime_ns
    assert reverse(SmallLibrary()) == 0
    assert [path.name for path in folder.iterdir()] == [kept.name]
    assert kept.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:40],
        lambda content: content[:-1],
        lambda content: content[:-500] + bytes([content[-500] ^ 1]) + content[-499:],
        lambda content: b"other" + content[5:],
    ],
    ids=["empty", "no code", "cut short", "one bit", "another format"],
)
def test_damaged_code_is_compiled_anew_and_replaced(folder, damage):
    reverse(SmallLibrary())
    (kept,) = folder.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    assert reverse(SmallLibrary()) == 1
    assert kept.read_bytes() == whole
    assert reverse(SmallLibrary()) == 0


def test_code_for_another_processor_or_other_sources_is_not_taken(folder, monkeypatch):
    reverse(SmallLibrary())
    (ours,) = folder.iterdir()
    with monkeypatch.context() as other:
        other.setattr(kept_code, "digest_sources", lambda folder: "edited")
        assert reverse(SmallLibrary()) == 1
    with monkeypatch.context() as other:
        other.setattr(llvm, "get_host_cpu_name", lambda: "x86-64" if "x86" in llvm.get_default_triple() else "generic")
        assert reverse(SmallLibrary()) == 1
    foreign = [path for path in folder.iterdir() if path != ours]
    assert len(foreign) == 2
    for path in foreign:
        ours.write_bytes(path.read_bytes())
        assert reverse(SmallLibrary()) == 1


def test_code_for_one_signature_is_not_taken_for_another(folder, tmp_path):
    reverse(SmallLibrary())
    other = KernelLibrary("small", REORDER, REORDER)
    digests = {kept_code._digest(tmp_path, repr(library._kernels)) for library in (SmallLibrary(), other)}
    assert len(digests) == 2


def test_a_read_only_installation_keeps_its_code_in_the_cache_of_the_user(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # A file in the place of the folder, as permissions do not hold an administrator back.
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "__pycache__").touch()
    monkeypatch.setattr(KernelLibrary, "_folder", lambda library: tmp_path / "installed")
    assert reverse(SmallLibrary()) == 1
    assert len(list((tmp_path / "quant_pipeline").iterdir())) == 1
    assert reverse(SmallLibrary()) == 0


def test_where_nothing_can_be_written_kernels_run_and_a_warning_names_the_remedy(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "kept"))
    assert reverse(SmallLibrary()) == 1
    assert "Set NUMBA_CACHE_DIR" in caplog.text
    assert reverse(SmallLibrary()) == 1


def test_threads_that_come_at_once_compile_once(folder):
    library, gate = SmallLibrary(), threading.Barrier(4)

    def work():
        gate.wait()
        reverse(library)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert library.compiled == 1
    assert library._functions.keys() == {"reorder"}


SMALL = """
import numpy as np
from quant_pipeline.factors.kernels.entries import REORDER
from quant_pipeline.common.machine_code import KernelLibrary
values = np.arange(3, dtype=np.uint32).reshape(1, 3)
strips = np.array([[2, 0, 1], [0, 0, 0], [1, 1, 1], [0, 0, 0]], np.uint32)
room = np.array([0, 3]), np.array([0, 3]), strips, np.empty(3, np.uint32), np.empty(16, np.int64)
KernelLibrary("small", REORDER).call(REORDER, values, *room)
print(values.tolist())
"""


def test_two_processes_that_compile_at_once_leave_one_whole_file(folder):
    command = [sys.executable, "-c", SMALL]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in both] == ["[[2, 0, 1]]"] * 2
    assert len(list(folder.iterdir())) == 1
    assert reverse(SmallLibrary()) == 0


WILD = SMALL.replace("[2, 0, 1]", "[2, 0, 3]")


def test_the_setting_of_numba_that_checks_bounds_still_finds_a_wild_read(folder):
    command, checked = [sys.executable, "-c", WILD], {**os.environ, "NUMBA_BOUNDSCHECK": "1"}
    reverse(SmallLibrary())
    done = subprocess.run(command, env=checked, capture_output=True, text=True, check=False)
    assert "MachineCodeError: reorder failed with status 1; set NUMBA_DISABLE_JIT=1 to see where" in done.stderr
    as_python = {**checked, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, env=as_python, capture_output=True, text=True, check=False)
    assert "IndexError: index 3 is out of bounds" in done.stderr
    assert len(list(folder.iterdir())) == 2


def test_settings_in_the_file_of_numba_count_as_those_of_the_environment(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}

    def kept_and_said(settings, **more):
        (tmp_path / ".numba_config.yaml").write_text(settings)
        command, options = [sys.executable, "-c", WILD], {"cwd": tmp_path, "env": {**environment, **more}}
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
        return len(list((tmp_path / "kept").glob("*.bin"))), done.stderr

    plain = "# Where code is kept\ncache_dir: kept\n"
    checked = plain + "boundscheck: 1\n"
    # The code that checks nothing is kept first, and must not be taken afterwards.
    assert kept_and_said(plain)[0] == 1
    kept, said = kept_and_said(checked)
    assert (kept, "MachineCodeError: reorder failed with status 1" in said) == (2, True), said
    kept, said = kept_and_said(checked, NUMBA_BOUNDSCHECK="0")
    assert (kept, "MachineCodeError" in said) == (3, False), said
    for off in ("true", "1"):
        assert "IndexError: index 3 is out of bounds" in kept_and_said(f"{plain}disable_jit: {off}\n")[1]
    for on in ("false", ""):
        assert "IndexError" not in kept_and_said(f"{plain}disable_jit: {on}\n")[1]


def test_code_that_needs_numba_when_it_runs_is_refused():
    from quant_pipeline.common.machine_code.emission import _assert_self_contained

    _assert_self_contained(llvm.parse_assembly("declare double @sqrt(double)\ndeclare double @llvm.fabs.f64(double)"))
    with pytest.raises(MachineCodeError, match="the compiled kernels need NRT_Free, which only numba has"):
        _assert_self_contained(llvm.parse_assembly("declare void @NRT_Free(ptr)"))


def test_code_that_takes_its_arguments_in_another_way_is_refused():
    from quant_pipeline.common.machine_code.emission import _assert_layout

    module = llvm.parse_assembly("define i32 @reorder(ptr %a, ptr %b, i64 %c) { ret i32 0 }")
    with pytest.raises(MachineCodeError, match="passes the arguments of reorder in another way"):
        _assert_layout(REORDER, module.get_function("reorder"))


VALUES, FIRSTS = np.zeros((2, 4), np.uint32), np.array([0, 4])
REST = FIRSTS.copy(), np.zeros((4, 4), np.uint32), np.empty(4, np.uint32), np.empty(16, np.int64)
FROZEN = np.zeros((2, 4), np.uint32)
FROZEN.flags.writeable = False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((VALUES.astype(np.float64), FIRSTS, *REST), "argument 1 of reorder must be a writable array of uint32"),
        ((VALUES.astype(">u4"), FIRSTS, *REST), "argument 1 of reorder must be a writable array of uint32"),
        ((VALUES[0], FIRSTS, *REST), "argument 1 of reorder .* with 2 dimensions"),
        ((np.zeros((4, 2), np.uint32).T, FIRSTS, *REST), "argument 1 of reorder .* one after another in memory"),
        ((np.zeros((2, 8), np.uint32)[:, :4], FIRSTS, *REST), "argument 1 of reorder .* one after another in memory"),
        ((FROZEN, FIRSTS, *REST), "argument 1 of reorder must be a writable array"),
        ((VALUES, FIRSTS.astype(np.int32), *REST), "argument 2 of reorder must be a writable array of int64"),
        ((VALUES, [0, 4], *REST), "argument 2 of reorder must be a writable array"),
    ],
    ids=["type", "byte order", "dimensions", "transposed", "with gaps", "read-only", "short numbers", "list"],
)
def test_another_layout_is_an_error_and_no_wild_read(arguments, message):
    with pytest.raises(MachineCodeError, match=message):
        SmallLibrary().call(REORDER, *arguments)


def test_too_few_arguments_and_a_fraction_are_errors():
    with pytest.raises(ValueError, match="longer"):
        SmallLibrary().call(REORDER, VALUES, FIRSTS)
    table, counts = np.zeros((1, 9), np.int64), np.zeros(2, np.int64)
    with pytest.raises(TypeError, match="float"):
        cut_tiles(table, 0.5, 0, 100, 0, table, table, counts)
