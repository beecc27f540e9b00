"""What systemd hears: the protocol of sd_notify(3), over a real socket."""

import socket

import pytest

from quant_pipeline.live.watchdog import Watchdog


@pytest.mark.parametrize("is_abstract", [False, True])
def test_the_service_manager_hears_that_the_process_is_ready_alive_and_stopping(tmp_path, is_abstract):
    name = f"@quant-pipeline-{tmp_path.name}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        try:
            manager.bind(f"\0{name[1:]}" if is_abstract else name)
        except OSError:
            pytest.skip("this system has no such sockets")
        watchdog = Watchdog({"NOTIFY_SOCKET": name})
        watchdog.ready()
        watchdog.alive("daily 2025-01-02")
        watchdog.stopping()
        heard = [manager.recv(200).decode() for _ in range(3)]
    assert heard == ["READY=1", "WATCHDOG=1\nSTATUS=daily 2025-01-02", "STOPPING=1"]


def test_without_a_service_manager_nothing_is_said_and_a_lost_one_harms_nothing(tmp_path):
    Watchdog({}).ready()
    Watchdog({"NOTIFY_SOCKET": str(tmp_path / "gone")}).alive("ready")
