"""A folder of tables that grows."""

import pandas as pd
import pytest

from quant_pipeline.datasets.chunks import ChunkedTable


def table(value):
    return pd.DataFrame({"a": [value]}, index=pd.Index(["k"], name="key", dtype="str"))


def test_a_folder_that_is_not_there_has_no_chunks(tmp_path):
    assert ChunkedTable(str(tmp_path / "none")).load() == {}


def test_saving_adds_and_loading_reads_when_asked(tmp_path):
    dataset = ChunkedTable(str(tmp_path))
    dataset.save({"x/one": table(1)})
    dataset.save({"x/two": table(2), "y/one": table(3)})
    chunks = dataset.load()
    assert list(chunks) == ["x/one", "x/two", "y/one"]
    pd.testing.assert_frame_equal(chunks["x/two"](), table(2))


def test_what_a_crash_left_behind_is_no_chunk(tmp_path):
    dataset = ChunkedTable(str(tmp_path))
    dataset.save({"x/one": table(1)})
    (tmp_path / "x" / ".two.parquet.4711").write_bytes(b"half")
    (tmp_path / "x" / ".three.parquet").write_bytes(b"half")
    assert list(dataset.load()) == ["x/one"]


def test_it_never_counts_as_complete(tmp_path):
    dataset = ChunkedTable(str(tmp_path), metadata={"kedro-viz": {"layer": "reporting"}})
    dataset.save({"one": table(1)})
    assert not dataset.exists()
    assert str(tmp_path) in str(dataset)


def test_a_chunk_that_cannot_be_written_leaves_the_others(tmp_path):
    dataset = ChunkedTable(str(tmp_path))
    dataset.save({"one": table(1)})
    with pytest.raises(Exception, match=r"object|convert|Parquet"):
        dataset.save({"two": pd.DataFrame({"a": [1, object()]})})
    assert list(dataset.load()) == ["one"]
