"""The fast parser reads what OmegaConf's own loader reads: the same values of the same types, the same refusals."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader as own_loader
from yaml.cyaml import CParser

from quant_pipeline.common.fast_yaml import fast_loader

CONF = Path(__file__).parents[2] / "conf"
SCALARS = [
    *("1e-3", "1E5", "1_000", "1.5e3", ".5", "-.inf", ".nan", "12:30", "12:30.5", "0o7", "0x1F", "007", "+1"),
    *("yes", "Off", "true", "null", "~", "", "2024-01-31", "2024-01-31 09:30:00", "'1'", '"1e-3"', "${globals:as_of}"),
    *("1.", "1e3x", "é", "!!str 1", "!!python/object/apply:pathlib.PosixPath [a, b]"),
]


def read(text, loader):
    return yaml.load(text, Loader=loader)


def exactly(value):
    """Describe a value with its types; a number that is none equals itself."""
    match value:
        case dict():
            return [(exactly(key), exactly(part)) for key, part in value.items()]
        case list():
            return [exactly(part) for part in value]
    return type(value).__name__, repr(value)


def test_configuration_is_parsed_by_libyaml():
    assert issubclass(fast_loader(), CParser)


@pytest.mark.parametrize("text", SCALARS)
def test_scalar_becomes_the_value_that_omegaconf_makes_of_it(text):
    line = f"key: {text}\nlist:\n  - {text}\n"
    assert exactly(read(line, fast_loader())) == exactly(read(line, own_loader()))


def test_numbers_without_a_point_before_the_exponent_are_numbers():
    assert read("rate: 1e-3", fast_loader()) == {"rate": 0.001}
    assert OmegaConf.create("rate: 1e-3").rate == 0.001


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yml")), ids=lambda file: str(file.relative_to(CONF)))
def test_file_of_the_project_is_read_as_before(file):
    text = file.read_text(encoding="utf-8")
    assert exactly(read(text, fast_loader())) == exactly(read(text, own_loader()))


def test_anchors_and_merges_are_read_as_before():
    text = "_base: &base {a: 1, b: [1, 2]}\none:\n  <<: *base\n  b: 3\ntwo: *base\n"
    assert read(text, fast_loader())["one"] == {"a": 1, "b": 3}
    assert exactly(read(text, fast_loader())) == exactly(read(text, own_loader()))


@pytest.mark.parametrize(
    "text", ["a: 1\nb: 2\na: 3\n", "top:\n  x: 1\n  x: 2\n", "a: [1\n", "a: b: c\n", "a: *none\n", "a: =\n"]
)
def test_what_is_refused_is_refused_at_the_same_line(text):
    with pytest.raises(yaml.MarkedYAMLError) as slow:
        read(text, own_loader())
    with pytest.raises(yaml.MarkedYAMLError) as fast:
        read(text, fast_loader())
    assert fast.value.problem_mark.line == slow.value.problem_mark.line
    assert fast.value.problem


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_ 1.:", max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(values, st.booleans())
def test_whatever_is_written_as_yaml_is_read_as_before(value, flow):
    text = yaml.safe_dump(value, allow_unicode=True, default_flow_style=flow)
    assert exactly(read(text, fast_loader())) == exactly(read(text, own_loader()))
