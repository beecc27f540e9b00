"""What a job prints: kept up to a size, and no command waits for a file that cannot be written."""

import os
import threading

import pytest

from quant_pipeline.service.jobs.worker import CHUNK, keep_output


@pytest.mark.parametrize("printed", [0, 999, 1_000, 1_001, 500_000])
def test_of_what_is_printed_without_end_the_beginning_and_the_end_are_kept(tmp_path, printed):
    reading, writing = os.pipe()
    output = tmp_path / "output.log"
    content = b"".join(b"%08d\n" % number for number in range(printed // 9 + 1))[:printed]
    with os.fdopen(reading, "rb") as pipe:
        thread = threading.Thread(target=keep_output, args=(pipe, output, 1_000))
        thread.start()
        with os.fdopen(writing, "wb") as end:
            end.write(content)
        thread.join(60)
    kept = output.read_bytes()
    assert kept.startswith(content[:1_000])
    assert kept.endswith(content[1_000:][-CHUNK:])
    assert (b"more than" in kept) is (printed > 1_000)
    assert len(kept) < 1_000 + CHUNK + 200


def test_what_cannot_be_written_stops_no_command(tmp_path):
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe:
        thread = threading.Thread(target=keep_output, args=(pipe, tmp_path / "no folder" / "output.log", 1_000))
        thread.start()
        with os.fdopen(writing, "wb") as end:
            end.write(b"x" * 300_000)
        thread.join(60)
    assert not thread.is_alive()
