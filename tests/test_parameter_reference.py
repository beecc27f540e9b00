"""The reference of parameters says what the code says."""

import importlib.util

import pytest


@pytest.fixture(scope="module")
def reference(project_path):
    spec = importlib.util.spec_from_file_location("parameter_reference", project_path / "tools/parameter_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_make_reference_writes(reference):
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page()


def test_every_key_of_every_block_is_described(reference):
    silent = [row for row in reference.page().splitlines() if row.startswith("| `") and row.endswith("|  |")]
    assert silent == []


def test_the_types_of_blocks_are_read_from_the_nodes(reference):
    assert {"strategy", "market_rules", "risk", "models.<name>"} <= set(reference.blocks())


def test_a_description_of_two_keys_belongs_to_both(reference):
    described = reference.meanings(reference.blocks()["cost_rules"])
    assert described["buy_rate"] == described["sell_rate"] == "Commission as a fraction of the traded value."
