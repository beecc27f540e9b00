"""Wiring by name, and records that a node takes in parts."""

import inspect
import pickle
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from kedro.validation.type_extractor import TypeExtractor
from pydantic import BaseModel

from quant_pipeline.pipelines.wiring import by_name, takes_records


class Rules(BaseModel):
    topk: int


@dataclass(frozen=True)
class Market:
    bars: list[int]
    rules: Rules

    @classmethod
    def known_at(cls, as_of: int, bars: list[int], rules: Rules) -> "Market":
        return cls([bar for bar in bars if bar <= as_of], rules)


@takes_records(market=Market.known_at)
def decide(events: list[str], market: Market, as_of: int, spare: int = 1, **scores: int) -> str:
    """Decide."""
    return f"{events} {market.bars} {market.rules.topk} {as_of} {spare} {scores}"


@takes_records(market=Market)
def walk(market: Market) -> Iterator[int]:
    yield from market.bars


def test_names_are_arguments_and_parameters_lose_their_prefix():
    assert by_name("bars", "params:rules", events="ledger") == {
        "bars": "bars",
        "rules": "params:rules",
        "events": "ledger",
    }


def test_the_signature_has_the_parts_of_a_record_in_its_place_and_shared_arguments_once():
    assert list(inspect.signature(decide).parameters) == ["events", "as_of", "bars", "rules", "spare", "scores"]
    assert (decide.__name__, decide.__doc__) == ("decide", "Decide.")


def test_parts_become_the_record_and_what_is_not_a_part_stays():
    given = {"events": ["open"], "bars": [1, 2, 3], "rules": Rules(topk=5), "as_of": 2}
    assert decide(**given, ridge=7) == "['open'] [1, 2] 5 2 1 {'ridge': 7}"
    assert decide(["open"], 2, [1, 2, 3], Rules(topk=5), 0) == "['open'] [1, 2] 5 2 0 {}"
    assert list(walk([1, 2], Rules(topk=1))) == [1, 2]


def test_a_record_may_consist_of_records():
    @dataclass
    class Run:
        market: Market
        name: str

    make = takes_records(market=Market)(Run)

    @takes_records(run=make)
    def describe(run: Run) -> str:
        return f"{run.name} {run.market.bars}"

    assert describe(bars=[4], rules=Rules(topk=1), name="walk") == "walk [4]"


def test_kedro_sees_every_dataset_and_validates_the_parameters_of_records():
    node = Node(decide, by_name("events", "bars", "params:rules", "params:as_of"), "orders", name="decide")
    assert TypeExtractor({"daily": Pipeline([node])}).extract_types_from_pipelines() == {"rules": Rules}
    given = {"events": [], "bars": [1, 9], "params:rules": Rules(topk=2), "params:as_of": 3}
    catalog = DataCatalog({name: MemoryDataset(value, copy_mode="assign") for name, value in given.items()})
    assert SequentialRunner().run(Pipeline([node]), catalog)["orders"].load() == "[] [1] 2 3 1 {}"


class Pieces(MemoryDataset):
    """Keeps every piece that is saved, as an appending dataset does."""

    def __init__(self):
        super().__init__()
        self.saved = []

    def _save(self, data):
        self.saved.append(data)


def test_kedro_saves_what_a_node_of_records_yields_piece_by_piece():
    assert inspect.isgeneratorfunction(walk)
    assert not inspect.isgeneratorfunction(decide)
    pieces = Pieces()
    given = {"bars": [1, 2], "params:rules": Rules(topk=1)}
    catalog = DataCatalog({name: MemoryDataset(value) for name, value in given.items()} | {"pieces": pieces})
    SequentialRunner().run(Pipeline([Node(walk, by_name("bars", "params:rules"), "pieces", name="walk")]), catalog)
    assert pieces.saved == [1, 2]


def test_a_part_that_is_missing_or_unknown_is_refused_when_the_node_is_made():
    with pytest.raises(TypeError, match=r"'decide' function expected \['events', 'as_of', 'bars', "):
        Node(decide, by_name("events", "bars", "params:rules"), "orders", name="decide")
    with pytest.raises(TypeError, match=r"'walk' function expected \['bars', 'rules'\], but got .*'market': 'market'"):
        Node(walk, by_name("bars", "params:rules", "market"), "orders", name="walk")
    with pytest.raises(TypeError, match=r"has no arguments \['exchange'\] that could be records"):
        takes_records(exchange=Market)(decide)


def test_a_node_of_records_reaches_another_process():
    assert pickle.loads(pickle.dumps(decide)) is decide
