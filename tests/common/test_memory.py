"""What a process may use is the least of what limits it."""

import resource

import psutil
import pytest

from quant_pipeline.common import memory
from quant_pipeline.common.memory import share_of_memory, usable_memory

GIB = 2**30


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 64 GiB whose control groups lie in a folder."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"total": 64 * GIB}))
    monkeypatch.setattr(resource, "getrlimit", lambda what: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "OWN", tmp_path / "groups")
    (tmp_path / "groups").write_text("9:name=systemd:/\n4:cpu,memory:/pod/one\n0::/slice/job\n")
    return tmp_path / "cgroup"


def limit(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"{text}\n")


def test_without_limits_it_is_the_memory_of_the_machine(machine):
    assert usable_memory() == 64 * GIB
    limit(machine / "slice" / "job", "memory.max", "max")
    limit(machine / "memory" / "pod" / "one", "memory.limit_in_bytes", 2**63 - 4096)
    assert usable_memory() == 64 * GIB


@pytest.mark.parametrize("group", ["slice/job", "slice", "", "memory/pod/one", "memory/pod", "memory"])
def test_a_control_group_and_those_above_it_limit_a_process(machine, group):
    name = "memory.limit_in_bytes" if group.startswith("memory") else "memory.max"
    limit(machine / group, name, 8 * GIB)
    assert usable_memory() == 8 * GIB


@pytest.mark.parametrize("text", ["", "many", "-1", "0", "9" * 5000, "1.5"])
def test_what_is_no_limit_is_left_out(machine, text):
    limit(machine / "slice" / "job", "memory.max", text)
    assert usable_memory() == 64 * GIB


def test_a_machine_without_control_groups_has_no_limit_by_them(machine, monkeypatch):
    monkeypatch.setattr(memory, "OWN", machine / "absent")
    assert usable_memory() == 64 * GIB


def test_a_limit_of_address_space_counts(machine, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda what: (3 * GIB, 3 * GIB))
    assert usable_memory() == 3 * GIB


def test_tasks_beside_each_other_have_a_share_each(machine):
    with share_of_memory(16 * GIB):
        assert usable_memory() == 16 * GIB
        with share_of_memory(None), share_of_memory(4 * GIB):
            assert usable_memory() == 4 * GIB
        assert usable_memory() == 16 * GIB
    assert usable_memory() == 64 * GIB
