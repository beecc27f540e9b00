"""Every dataset reaches the argument that is meant: a node wired by position would take two in the wrong order."""

import inspect
from fnmatch import fnmatchcase

import pytest
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Node
from kedro.validation.type_extractor import TypeExtractor

from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.trading.orders.risk_limits import RiskLimits

# Datasets that are called otherwise than the argument that takes them.
CALLED = {
    "bundle": "*.bundle@*",
    "bundles": "*.bundles_by_window",
    "chunks": "search_chunks*",
    "events": "ledger_*",
    "feature_set": "params:feature_sets.*",
    "features": "*_features",
    "latest_features": "*_latest_features",
    "market": "market_source",
    "parameters": "params:quality",
    "predictions": "*_predictions",
    "spec": "params:models.*",
}


@pytest.fixture(scope="module")
def nodes(project_path):
    bootstrap_project(project_path)
    return {node.name: node for pipeline in pipelines.values() for node in pipeline.nodes}


def wiring(node):
    """Return which dataset each argument takes; raises TypeError where they do not fit."""
    signature = inspect.signature(node.func)
    inputs = node._inputs or []
    if isinstance(inputs, dict):
        return signature.bind(**inputs).arguments
    return signature.bind(*([inputs] if isinstance(inputs, str) else inputs)).arguments


def misplaced(node):
    """Return arguments wired by position that take a dataset of another meaning."""
    if isinstance(node._inputs, dict):
        return {}
    return {
        argument: dataset
        for argument, dataset in wiring(node).items()
        if isinstance(dataset, str)
        and dataset.removeprefix("params:").rpartition(".")[2] != argument
        and not fnmatchcase(dataset, CALLED.get(argument, argument))
    }


def test_the_inputs_of_every_node_fit_its_function(nodes):
    assert len(nodes) > 60
    for node in nodes.values():
        wiring(node)


def test_what_is_wired_by_position_reaches_the_argument_of_its_name(nodes):
    assert {name: found for name, node in nodes.items() if (found := misplaced(node))} == {}


def train(features, labels, spec):
    """Take what a training node takes."""


def test_two_inputs_in_the_wrong_order_or_one_too_many_are_found():
    right = ["alpha158_features", "labels", "params:models.ridge"]
    assert misplaced(Node(train, right, "bundle", name="right")) == {}
    swapped = Node(train, [right[1], right[0], right[2]], "bundle", name="swapped")
    assert misplaced(swapped) == {"features": "labels", "labels": "alpha158_features"}
    for wrong in ({"feature": "labels"}, {"features": "a", "labels": "b", "spec": "c", "more": "d"}):
        with pytest.raises(TypeError):
            Node(train, wrong, "bundle", name="wrong")


def test_more_than_three_inputs_are_wired_by_name(nodes):
    by_position = [name for name, node in nodes.items() if not isinstance(node._inputs, dict) and len(node.inputs) > 3]
    assert by_position == []


def test_kedro_can_validate_every_typed_parameter_and_warns_of_none(nodes, caplog):
    kinds = TypeExtractor(dict(pipelines)).extract_types_from_pipelines()
    assert kinds["risk"] is RiskLimits
    assert kinds["strategy"] is StrategyRules
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == []
