"""The reference of parameters says what the code says."""

import re
import typing

import pytest
import yaml

from quant_pipeline.common.parameters import Parameters
from quant_pipeline.factors.signals import KINDS
from tests.helpers.tools import load_tool

OTHER_WORDS_OF_LIMITS = r"^(maximum|minimum|largest|smallest|longest|shortest|most|least|highest|lowest)_|_cap$"


@pytest.fixture(scope="module")
def reference(project_path):
    return load_tool(project_path, "parameter_reference")


def test_the_page_is_what_make_reference_writes(reference):
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page()


def test_every_key_of_every_block_is_described(reference):
    silent = [row for row in reference.page().splitlines() if row.startswith("| `") and row.endswith("|  |")]
    assert silent == []


def test_every_block_of_the_configuration_has_a_section(reference, project_path):
    named = {name.partition(".")[0] for name in reference.blocks()}
    for file in sorted((project_path / "conf/base").glob("parameters*.yml")):
        found = yaml.safe_load(file.read_text())
        assert {key for key, value in found.items() if isinstance(value, dict)} <= named, file.name


def test_every_kind_of_signal_is_on_the_page_with_what_its_parameters_mean(reference):
    for name, kind in KINDS.items():
        section = reference.page().partition(f"### signal {name}\n")[2].partition("###")[0]
        assert [key for key in kind.model_fields if f"| `{key}` |" in section] == list(kind.model_fields)[2:]


def test_the_types_of_blocks_are_read_from_the_nodes(reference):
    assert {"strategy", "market_rules", "risk", "models.<name>"} <= set(reference.blocks())


def test_a_description_of_two_keys_belongs_to_both(reference):
    described = reference.meanings(reference.blocks()["cost_rules"])
    assert described["buy_rate"] == described["sell_rate"] == "Commission as a fraction of the traded value."


def test_limits_are_called_max_and_min_in_every_block(reference):
    named = {f"{kind.__name__}.{key}" for kind in all_kinds(reference.blocks().values()) for key in kind.model_fields}
    assert [name for name in named if re.search(OTHER_WORDS_OF_LIMITS, name.partition(".")[2])] == []
    assert {"RiskLimits.max_order_weight", "UniverseParameters.min_price", "Combination.max_missing"} <= named


def test_every_former_name_leads_to_a_present_key(reference):
    for kind in all_kinds(reference.blocks().values()):
        assert set(kind.renamed.values()) <= set(kind.model_fields)
        assert not set(kind.renamed) & set(kind.model_fields)


def all_kinds(kinds):
    """Return the types of parameters, and those of the blocks inside of them."""
    found = set()
    waiting = list(kinds)
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and not typing.get_args(kind):
            if issubclass(kind, Parameters) and kind not in found:
                found.add(kind)
                waiting += typing.get_type_hints(kind).values()
        else:
            waiting += typing.get_args(kind)
    return found
