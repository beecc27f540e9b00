"""Files of JSON that can and cannot be read."""

import pytest

from quant_pipeline.common.json_files import parse_json, read_json
from tests.helpers.damaged_json import DAMAGED_JSON


def test_an_object_is_read_as_it_was_written(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1, null, "é"], "b": {}}', encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"a": [1, None, "é"], "b": {}}
    assert parse_json(b'[1, "\xc3\xa9"]') == [1, "é"]


@pytest.mark.parametrize("text", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_whatever_is_damaged_is_one_kind_of_error_of_one_line(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        read_json(tmp_path / "a.json")


def test_a_file_that_is_not_there_is_not_called_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "a.json")
