"""Memory of large results in the process of a run: it is kept, up to a bound, and settings of the user stay."""

import ctypes
import os
import subprocess
import sys

import pytest

from quant_pipeline.common import allocation
from quant_pipeline.common.allocation import give_back_what_is_free, keep_large_blocks

needs_gnu = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="of GNU's library alone")
FAULTS = """
import resource
from quant_pipeline.common.allocation import keep_large_blocks

def taken(megabytes, times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        block = bytearray(megabytes << 20)
        block[::4096] = bytes(len(block) // 4096)
        del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(taken(64, 4), keep_large_blocks(), taken(64, 4), taken(300, 2))
"""


def faults(**environment):
    """Pages that four blocks of 64 MB take, one after the other; the same with what is asked for, and two of 300 MB."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", FAULTS]
    child = subprocess.run(command, env=inherited | environment, check=True, capture_output=True, text=True)
    before, is_kept, after, large = child.stdout.split()
    return int(before), is_kept == "True", int(after), int(large)


@needs_gnu
def test_blocks_of_64_megabytes_are_taken_from_the_system_once_and_larger_ones_given_back():
    before, is_kept, after, large = faults()
    assert is_kept
    # A block of 64 MB has 16,384 pages of 4 KiB, two of 300 MB have 153,600.
    assert before > 60_000
    assert after < 25_000
    assert large > 140_000


@needs_gnu
@pytest.mark.parametrize(
    "own", [{"MALLOC_MMAP_THRESHOLD_": "1048576"}, {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=1048576"}]
)
def test_settings_of_the_user_stay(own):
    before, is_kept, after, _ = faults(**own)
    assert not is_kept
    assert min(before, after) > 60_000


HOLES = """
import os
from quant_pipeline.common import allocation

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20

assert allocation.keep_large_blocks()
# Small blocks between large ones hold the end of the heap where it is.
blocks = [bytearray(size) for _ in range(5) for size in (64 << 20, 1 << 16)]
for block in blocks:
    block[::4096] = bytes(len(block[::4096]))
small = blocks[1::2]
del blocks, block
held = resident()
allocation.give_back_what_is_free()
still_held = resident()
allocation.MOST_KEPT = 2**28
allocation.give_back_what_is_free()
print(held, still_held, resident())
"""


@needs_gnu
def test_what_lies_free_between_used_blocks_is_given_back_from_a_bound_on():
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    child = subprocess.run([sys.executable, "-c", HOLES], env=inherited, check=True, capture_output=True, text=True)
    held, still_held, after = map(int, child.stdout.split())
    assert min(held, still_held) > 320
    assert after < 160


@pytest.fixture
def untouched(monkeypatch):
    """A process in which nothing keeps blocks, and nothing of the user's says otherwise."""
    monkeypatch.setattr(allocation, "_keeping", [])
    monkeypatch.setattr(allocation, "_has_own_settings", lambda: False)
    return monkeypatch


class Other:
    """A C library that is not GNU's, or one that refuses a setting."""

    def __init__(self, **functions):
        self.__dict__ |= functions


def test_a_library_that_is_not_gnus_is_left_alone(untouched):
    asked = []
    untouched.setattr(ctypes, "CDLL", lambda name: Other(mallopt=lambda *setting: asked.append(setting)))
    assert not keep_large_blocks()
    untouched.setattr(sys, "platform", "darwin")
    assert not keep_large_blocks()
    give_back_what_is_free()
    assert asked == []


def test_a_library_that_refuses_blocks_of_this_size_is_asked_for_nothing_else(untouched):
    asked = []
    old = Other(
        gnu_get_libc_version=None,
        mallopt=lambda *setting: asked.append(setting) or 0,
        malloc_trim=asked.append,
        mallinfo2=Other(),
    )
    untouched.setattr(ctypes, "CDLL", lambda name: old)
    assert not keep_large_blocks()
    give_back_what_is_free()
    assert asked == [(-3, allocation.LARGEST_KEPT)]
