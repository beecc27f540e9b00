"""A file of Arrow of which a part was lost or changed is not believed."""

import pandas as pd
import pyarrow as pa
import pytest

from quant_pipeline.common.checked_arrow import open_checked, write_checked

TABLE = pa.table({"close": [100.0 + number for number in range(500)], "name": ["AAA"] * 500}, metadata={"facts": "x"})


def read(path):
    with pa.OSFile(str(path)) as source:
        return open_checked(source).read_all()


def test_what_is_written_is_read_with_its_metadata(tmp_path):
    write_checked(tmp_path / "made" / "table", TABLE)
    again = read(tmp_path / "made" / "table")
    assert again.equals(TABLE)
    assert again.schema.metadata == TABLE.schema.metadata
    assert [file.name for file in (tmp_path / "made").iterdir()] == ["table"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:3],
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content[:-4],
        lambda content: content + b"\0",
        lambda content: bytes(len(content)),
        lambda content: content[:1000] + bytes(2000) + content[3000:],
        lambda content: content[:2000] + bytes([content[2000] ^ 1]) + content[2001:],
    ],
)
def test_damage_is_noticed_before_anything_is_read(tmp_path, damage):
    path = tmp_path / "table"
    write_checked(path, TABLE)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises((ValueError, pa.ArrowInvalid)):
        read(path)


def test_a_table_outlives_the_file_it_was_mapped_from(tmp_path):
    write_checked(tmp_path / "table", TABLE)
    with pa.memory_map(str(tmp_path / "table")) as source:
        table = open_checked(source).read_all().to_pandas()
    (tmp_path / "table").unlink()
    pd.testing.assert_frame_equal(table, TABLE.to_pandas())
