"""References resolved text by text are what OmegaConf makes of the whole table: values, types and refusals."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from quant_pipeline.project import references
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader
from quant_pipeline.project.references import merged_and_resolved, require_plain, select

PROJECT = Path(__file__).parents[2]
NAMES = st.sampled_from("abc")
PLAIN = ("???", "", "plain", "$", "a b", "12", "null", "true", "texts with references", "\\${a}", "${nothing:1}")
TO_C = (
    *PLAIN,
    "${c}",
    "x${c.a}y${c}",
    "${c}/${c}}",
    "{${c}",
    "a b ${c}: 'x",
    "${sum:'}',[1]}",
    "${c.a.b}",
    "${c[0]}",
    "${[c]}",
    "${oc.select:c,1}",
    "${sum:${c},[1,2]}",
    "\\\\${c}",
)
TO_B = (*TO_C, "${b}", "${b.c}", "${b.${c}}", "${${c}}", "${oc.env:QP_NOT_SET,7}", "${.b}", "${..b}", "${...c}")


def values(texts):
    simple = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(texts)
    return st.recursive(
        simple, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
    )


TABLES = st.fixed_dictionaries({}, optional={"a": values(TO_B), "b": values(TO_C), "c": values(PLAIN)})
"""Most of them lead nowhere in a circle: the stack would have to overflow for each."""


@pytest.fixture(autouse=True, scope="module")
def resolver_of_an_argument():
    OmegaConf.register_new_resolver("sum", lambda first, rest: f"{first}+{sum(rest)}", replace=True)
    yield
    OmegaConf.clear_resolver("sum")


def outcome(make):
    """Return the values of a table, or in which words of which key it is refused."""
    try:
        return repr(make())
    except OmegaConfBaseException as error:
        return type(error), "in a circle" if "RecursionError" in str(error) else str(error), error.full_key


def by_omegaconf(files, over=None):
    return OmegaConf.to_container(OmegaConf.unsafe_merge(*map(OmegaConf.create, files), over or {}), resolve=True)


@given(table=TABLES)
def test_any_table_is_resolved_as_omegaconf_resolves_it(table):
    assert outcome(lambda: merged_and_resolved([table])) == outcome(lambda: by_omegaconf([table]))


@given(files=st.lists(TABLES, min_size=1, max_size=3), over=TABLES)
def test_any_files_and_params_are_laid_over_one_another_as_omegaconf_does(files, over):
    assert outcome(lambda: merged_and_resolved(files, over)) == outcome(lambda: by_omegaconf(files, over))


REFERENCES = """
a: {b: 3, c: "${a.b}", list: [1, "${list.0}"], none: null, escaped: '\\${a.b}', at: "${a.none}"}
list: ["${a.b}", "${nested.text}"]
nested: {whole: "${a}", table: "${other}", text: "to ${a.b}", missing: "???"}
other: {x: "${list.0}"}
"""


def test_references_to_tables_lists_and_other_references_are_followed_to_the_end():
    resolved = merged_and_resolved([yaml.safe_load(REFERENCES)])
    assert resolved["a"] == {"b": 3, "c": 3, "list": [1, 3], "none": None, "escaped": "${a.b}", "at": None}
    assert resolved["list"] == [3, "to 3"]
    assert resolved["nested"] == {"whole": resolved["a"], "table": {"x": 3}, "text": "to 3", "missing": "???"}


def test_a_reference_in_a_circle_is_refused_by_the_name_of_its_key():
    with pytest.raises(OmegaConfBaseException) as refused:
        merged_and_resolved([{"x": 1, "a": {"b": "${c}"}, "c": "${a.b}"}])
    assert refused.value.full_key == "a.b"


def test_what_a_reference_leads_to_is_a_copy_of_its_own():
    resolved = merged_and_resolved([{"a": [1], "b": "${a}", "c": "${a}"}])
    resolved["b"].append(2)
    assert resolved == {"a": [1], "b": [1, 2], "c": [1]}


def test_files_are_left_as_they_are():
    file = {"a": {"b": "${c}"}, "c": 1}
    merged_and_resolved([file], {"a": {"d": 2}, "c": 5})
    assert file == {"a": {"b": "${c}"}, "c": 1}


def test_params_reach_into_a_table_that_a_reference_names():
    assert merged_and_resolved([{"a": "${b}", "b": {"x": 1, "y": 2}}], {"a": {"y": 3}})["a"] == {"x": 1, "y": 3}


def test_omegaconf_sees_texts_with_references_only(monkeypatch):
    shown = []
    create = OmegaConf.create
    monkeypatch.setattr(references.OmegaConf, "create", lambda content: shown.append(content) or create(content))
    files = [{"plain": {"n": 1}, "a": "${b.c}", "d": ["${b.c}"]}, {"b": {"c": 2}}]
    assert merged_and_resolved(files) == {"plain": {"n": 1}, "a": 2, "d": [2], "b": {"c": 2}}
    assert shown == [{"b": {"c": 2}}, {"b": {"c": 2}, "texts with references": ["${b.c}"]}]


@pytest.mark.parametrize("environment", ["sim", "files", "cn", "qlib", "paper", "live"])
def test_configuration_of_the_project_is_what_kedro_makes_of_it(environment, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    short = ProjectConfigLoader(str(PROJECT / "conf"), environment, **LOADER_OPTIONS)
    whole = ProjectConfigLoader(str(PROJECT / "conf"), environment, **LOADER_OPTIONS)
    found = {kind: short[kind] for kind in ("globals", "parameters", "catalog", "credentials", "mlflow")}
    monkeypatch.setattr("quant_pipeline.project.configuration.merged_and_resolved", by_omegaconf)
    assert found == {kind: whole[kind] for kind in found}


@pytest.mark.parametrize("parsed", [{None: 1}, {"a": {1, 2}}, {"a": ("x",)}, {"a": "${b"}])
def test_what_no_configuration_may_hold_is_refused_in_the_words_of_omegaconf(parsed):
    assert outcome(lambda: merged_and_resolved([require_plain(parsed)])) == outcome(
        lambda: OmegaConf.to_container(OmegaConf.create(parsed), resolve=True)
    )


def test_an_empty_file_holds_an_empty_table():
    assert require_plain(None) == {}


def test_a_dotted_name_is_followed_through_references():
    table = {"a": {"b": "${c}", "d": 4, "missing": "???"}, "c": {"e": "${a.d}"}}
    assert select(table, "a.d") == 4
    assert select(table, "a.b") == {"e": "${a.d}"}
    assert select(table, "a.b.e") == 4
    assert select(table, "a.missing") is select(table, "a.nothing") is select(table, "x.y") is None
