"""Another process that does the same as the test, at the same time."""

import subprocess
import sys
from contextlib import contextmanager

BEGIN = """
import sys
print("ready", flush=True)
sys.stdin.readline()
"""


@contextmanager
def other_process(preparation, repeated, *arguments):
    """Run a program in another process while the block runs; it begins when the block does, and has to end well.

    Parameters
    ----------
    preparation, repeated
        What it does before it begins, such as imports, and then; ``sys.argv[1:]`` are the arguments.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", f"{preparation}{BEGIN}{repeated}", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        first = process.stdout.readline()
        assert first == "ready\n", process.communicate()
        process.stdin.write("go\n")
        process.stdin.flush()
        yield
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()
