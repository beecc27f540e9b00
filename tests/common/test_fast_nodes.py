"""The short ways through OmegaConf lead to its own trees, values and refusals."""

from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kedro.config import omegaconf_config
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import quant_pipeline.project.configuration  # noqa: F401 - it lets Kedro read the short way
from quant_pipeline.common.fast_nodes import FastOmegaConf

CONF = Path(__file__).parents[2] / "conf"
NAMES = st.text("abc", min_size=1, max_size=3)
SIMPLE = st.none() | st.booleans() | st.integers() | st.floats() | st.text("a$.? \n", max_size=4) | st.just("???")
VALUES = st.recursive(
    SIMPLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.integers(), inner, max_size=3),
    max_leaves=12,
)


def described(node):
    """Return everything that a node of a tree is, without its parent; a number that is none equals itself."""
    state = node.__getstate__()
    content, value = state.get("_content"), repr(state.get("_val"))
    if isinstance(content, dict):
        content = [(key, type(key), described(inner), inner._parent is node) for key, inner in content.items()]
    elif isinstance(content, list):
        content = [(described(inner), inner._parent is node) for inner in content]
    return type(node), repr(state["_metadata"]), state.keys(), content, value


def both(text):
    return FastOmegaConf.load(StringIO(text)), OmegaConf.load(StringIO(text))


def test_kedro_reads_the_short_way():
    assert omegaconf_config.OmegaConf is FastOmegaConf


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yml")), ids=lambda file: str(file.relative_to(CONF)))
def test_file_of_the_project_becomes_the_tree_of_omegaconf(file):
    ours, theirs = both(file.read_text(encoding="utf-8"))
    assert described(ours) == described(theirs)
    assert FastOmegaConf.to_container(ours) == OmegaConf.to_container(theirs)


@given(content=st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_table_becomes_the_tree_and_the_values_of_omegaconf(content):
    theirs = OmegaConf.create(content)
    ours = FastOmegaConf.load(StringIO(OmegaConf.to_yaml(theirs)))
    assert described(ours) == described(theirs)
    for resolve in (False, True):
        assert repr(FastOmegaConf.to_container(ours, resolve=resolve)) == repr(
            OmegaConf.to_container(theirs, resolve=resolve)
        )


REFERENCES = """
a: {b: 3, c: "${a.b}", list: [1, "${.0}", "${a}x${list.1}"], none: null, escaped: '\\${a.b}'}
list: ["${a.b}", "${nested}"]
nested: {whole: "${a.list}", table: "${other}", text: "to ${a.b}", missing: "???"}
other: {x: "${list.0}"}
"""


def test_references_are_resolved_as_by_omegaconf():
    text = REFERENCES.replace(', "${a}x${list.1}"', "")
    ours, theirs = both(text)
    assert FastOmegaConf.to_container(ours, resolve=True) == OmegaConf.to_container(theirs, resolve=True)
    assert FastOmegaConf.to_container(ours)["nested"]["table"] == "${other}"
    merged = [kind.to_container(OmegaConf.merge(*both(text), {"a": {"b": 4}}), resolve=True)
              for kind in (FastOmegaConf, OmegaConf)]  # fmt: skip
    assert merged[0] == merged[1]
    assert merged[0]["nested"] == {"whole": [1, 1], "table": {"x": 4}, "text": "to 4", "missing": "???"}


@pytest.mark.parametrize(
    "text",
    ["a: ${b}\n", "a: {c: [1, '${b.c}']}\n", "a: ${nothing:1}\n", "a: ${oc.env:NOT_THERE_AT_ALL}\n", REFERENCES],
    ids=["name", "in a list", "resolver", "variable", "table in a text"],
)
def test_what_leads_nowhere_is_refused_in_the_words_of_omegaconf(text):
    ours, theirs = both(text)
    with pytest.raises(OmegaConfBaseException) as expected:
        OmegaConf.to_container(theirs, resolve=True)
    with pytest.raises(type(expected.value)) as refused:
        FastOmegaConf.to_container(ours, resolve=True)
    assert (str(refused.value), refused.value.full_key) == (str(expected.value), expected.value.full_key)


UNUSUAL = ["a: ${b\n", "a: 2024-01-01T10:00:00\n", "a: !!binary aGk=\n", "- 1\n", "null: 1\n", ""]


@pytest.mark.parametrize("text", UNUSUAL)
def test_what_is_unusual_goes_the_way_of_omegaconf(text):
    outcome = []
    for kind in (FastOmegaConf, OmegaConf):
        try:
            outcome.append(described(kind.load(StringIO(text))))
        except OmegaConfBaseException as error:
            outcome.append((type(error), str(error)))
    assert outcome[0] == outcome[1]
