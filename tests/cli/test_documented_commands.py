"""Every command that README and docs show is run, in the copy of the project."""

import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"(?:^ {4}|`|^)((?:kedro|mlflow|make|python) [^`\n|]+)", re.MULTILINE)

# Run by the gate itself, or by people on a machine of their own.
MADE_ELSEWHERE = {
    "make demo",
    "make test",
    "make lint",
    "make bench",
    "make bench-ledger",
    "make chaos",
    "make clean",
}
# Minutes long: that they start is enough here.
BENCHMARKS = "python benchmarks/backtest.py"
SERVERS = {
    "kedro viz run": 4141,
    "mlflow ui --backend-store-uri sqlite:///mlflow.db": 5000,
    "python -m quant_pipeline.testing.fake_alpaca": 8765,
}


def documented():
    """Return every distinct command, in the order of the pages."""
    found = [match.strip() for page in PAGES for match in COMMAND.findall(page.read_text())]
    return list(dict.fromkeys(command for command in found if "…" not in command))


def short_lived():
    return [command for command in documented() if command not in MADE_ELSEWHERE and command not in SERVERS]


def test_the_pages_show_commands():
    commands = documented()
    assert "make demo" in commands
    assert "kedro run --pipelines daily --params as_of=2025-01-02" in commands
    assert set(SERVERS) <= set(commands)


@pytest.mark.parametrize("command", short_lived())
def test_a_documented_command_runs(project, command, request):
    if "path/to" in command:
        folder = request.getfixturevalue("real_market")
        if command.startswith("python benchmarks"):
            command = command.replace("path/to/real/bars", str(folder))
        else:
            command = command.replace("path/to/folder", str(folder)).replace(
                "kedro run", "kedro run --pipelines ingestion"
            )
    project.run(f"{command} --help" if command == BENCHMARKS else command)


@pytest.mark.parametrize(("command", "port"), SERVERS.items())
def test_a_documented_server_answers(project, command, port):
    free = free_port()
    words = command.split()
    options = ["--no-browser"] if "viz" in words else []
    server = subprocess.Popen(
        [str(Path(sys.executable).parent / words[0]), *words[1:], *options, "--port", str(free)],
        cwd=project.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert answers(f"http://127.0.0.1:{free}/", seconds=120)
    finally:
        server.terminate()
        server.wait(timeout=20)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as page:
                return page.status == 200
        except OSError:
            time.sleep(1)
    return False
