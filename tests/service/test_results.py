"""Results: what was used just now stays, what is gone is no fault, and cells of any type are answered."""

import json
import os
import time

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.service.answers import rows_of, session_of
from quant_pipeline.service.results import SPARED, ResultStore
from tests.helpers.damaged_json import DAMAGED_JSON


def test_documents_make_room_too_and_what_was_used_just_now_stays(tmp_path):
    store = ResultStore(tmp_path, 0.001)
    names = [f"{number:032x}" for number in range(4)]
    for name in names:
        store.put_document(name, {"text": "x" * 600})
    assert all(store.document(name) for name in names)
    long_ago = time.time() - SPARED - 60
    for name in names[:3]:
        os.utime(tmp_path / f"{name}.json", (long_ago, long_ago))
    store.put_document("f" * 32, {"text": "x" * 600})
    assert [name for name in [*names, "f" * 32] if (tmp_path / f"{name}.json").exists()] == [names[3], "f" * 32]


def test_what_another_process_deletes_while_it_is_looked_up_is_not_kept(tmp_path, monkeypatch):
    store = ResultStore(tmp_path, 10.0)
    monkeypatch.setattr(ResultStore, "_file", lambda self, name, kind: tmp_path / f"{name}.{kind}")
    assert store.table("0" * 32) is None
    assert store.document("0" * 32) is None


def test_cells_that_hold_several_values_are_answered():
    table = pd.DataFrame({"names": [np.array(["a", "b"]), None], "texts": ["x", None]})
    assert json.loads(json.dumps(rows_of(table))) == [[["a", "b"], "x"], [None, None]]


def test_a_table_is_of_its_own_newest_session():
    days = pd.to_datetime(["2024-12-30", "2024-12-31"])
    assert session_of(pd.DataFrame({"datetime": days, "a": [1, 2]})) == "2024-12-31"
    assert session_of(pd.DataFrame({"a": [1, 2]})) is None
    assert session_of(pd.DataFrame({"date": days[:0]})) is None


@pytest.mark.parametrize("text", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_a_damaged_document_is_not_kept_and_is_made_again(tmp_path, text):
    store = ResultStore(tmp_path, 10.0)
    (tmp_path / f"{'0' * 32}.json").write_bytes(text)
    assert store.document("0" * 32) is None
    store.put_document("0" * 32, {"a": 1})
    assert store.document("0" * 32) == {"a": 1}
