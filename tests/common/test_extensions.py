"""Parts by name or dotted path: every way to name none says what to do."""

import pytest

from quant_pipeline.common.extensions import ExtensionError, find_part

SHIPPED = {"decoder": "json.JSONDecoder", "encoder": "json.JSONEncoder"}


def find(name, kind=type):
    return find_part(name, SHIPPED, kind, "codec")


def test_a_part_is_found_by_its_short_name_and_by_its_path():
    import json

    assert find("decoder") is find("json.JSONDecoder") is json.JSONDecoder


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "needs_more_of_it.py").write_text("import a_library_that_is_not_installed")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dekoder", "there is no codec 'dekoder'. Did you mean 'decoder'?"),
        ("nothing", "There are decoder, encoder. One of your own is named by its path"),
        ("nowhere.at.all.PART", "there is no module 'nowhere'; put it into src/"),
        ("json.nowhere.PART", "there is no module 'json.nowhere'"),
        ("json.Nothing", "module 'json' has no 'Nothing'"),
        ("needs_more_of_it.PART", "'needs_more_of_it' needs 'a_library_that_is_not_installed', which is not installed"),
        ("json.dumps", "is of type function; it has to be of type builtins.type"),
    ],
)
@pytest.mark.usefixtures("own_module")
def test_a_part_that_cannot_be_used_names_the_remedy(name, words):
    with pytest.raises(ExtensionError) as raised:
        find(name)
    assert words in raised.value.message
