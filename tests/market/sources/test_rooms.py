"""Files are read into memory that each thread keeps, whole or not at all."""

import threading

import pytest

from quant_pipeline.market.sources.files import FilesMarketParameters, reading_together
from quant_pipeline.market.sources.files.parsing import read_file
from quant_pipeline.market.sources.files.reading_together import read_together
from quant_pipeline.market.sources.files.rooms import Rooms, content_of, read_into
from tests.helpers.bar_texts import HEADER, rows

AUTO = FilesMarketParameters()
PLAIN = "\n".join([HEADER, *rows()]) + "\n"


@pytest.mark.parametrize("content", [b"", b"a", b"ab" * 3_000_000])
def test_a_file_is_read_whole(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert content_of(tmp_path / "a") == content
    assert bytes(read_into(memoryview(bytearray(len(content) + 1)), tmp_path / "a")) == content


def test_a_file_that_has_grown_is_not_read_in_part(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    with pytest.raises(OSError, match="is being written"):
        read_into(memoryview(bytearray(3)), tmp_path / "a")


def test_a_thread_takes_over_its_own_room_and_no_other():
    rooms = Rooms()
    first = rooms.take(10)
    assert rooms.take(5) is first
    assert len(rooms.take(20)) >= 20
    others = []
    thread = threading.Thread(target=lambda: others.append(rooms.take(5)))
    thread.start()
    thread.join()
    assert others[0] is not rooms.take(5)


def test_a_file_that_grows_while_others_are_read_is_left_to_be_read_alone(tmp_path, monkeypatch):
    files = [tmp_path / f"A{number}.csv" for number in range(4)]
    for file in files:
        file.write_text(PLAIN)
    sizes = {file: len(PLAIN) for file in files} | {files[1]: len(PLAIN) - 40}
    monkeypatch.setattr(reading_together, "_size_of", sizes.get)
    found = read_together(files, tmp_path, AUTO, Rooms())
    assert list(found) == [files[0], *files[2:]]
    for file, reading in found.items():
        assert reading.rows.equals(read_file(file, tmp_path, AUTO).rows)
