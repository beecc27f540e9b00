"""Instructions for rolling measures: all windows of one series and one family are computed together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from quant_pipeline.factors.expression.chains import addition_chain, covering_chain, merging_network, prune
from quant_pipeline.factors.expression.graph import Graph, Node
from quant_pipeline.factors.expression.steps import Step
from quant_pipeline.factors.expression.tables import Tables
from quant_pipeline.factors.expression.types import CONDITION
from quant_pipeline.factors.kernels import measures
from quant_pipeline.factors.kernels import opcodes as op
from quant_pipeline.factors.kernels.measures import MINIMUM, PLACES, WITH_SQUARES, WITH_TRENDS

MEASURES = {name: getattr(measures, name.upper()) for name in ("Mean", "Std", "Var", "Slope", "Rsquare", "Resi", "Sum")}
SHAPES = {name: getattr(measures, name.upper()) for name in ("Skew", "Kurt", "Mad", "WMA")}
PAIRS = {name: getattr(measures, name.upper()) for name in ("Corr", "Cov")}
_FAMILIES = {"Max": "maxima", "IdxMax": "maxima", "Min": "minima", "IdxMin": "minima", "Corr": "pairs", "Cov": "pairs"}
_FAMILIES |= {"Quantile": "sort", "Med": "sort", "Rank": "rank", "Count": "count"} | dict.fromkeys(SHAPES, "direct")
LONGEST_NETWORK = 128
"""Longest window that is sorted by a network; a longer one keeps a sorted window."""


class Stage(Protocol):
    """What an instruction is written into."""

    graph: Graph
    tables: Tables
    begin: dict[int, int]
    steps: list[Step]

    def types_of(self, *indices: int) -> int:
        """Types of arguments, as the machine counts them."""

    def finish(self, index: int, step: Step | None) -> None:
        """Note that a node is computed."""


def family_of(node: Node, graph: Graph) -> str | None:
    """Measures of one family and one series share their blocks; None when a node is not rolling."""
    name = node.operator
    if name == "Sum" or (name == "Mean" and graph.nodes[node.inputs[0]].numeric is CONDITION):
        return "sums"
    return "means" if name in MEASURES else _FAMILIES.get(name)


def emit_family(stage: Stage, family: str, indices: Sequence[int]) -> None:
    """Write the instructions of a family and finish its members, shortest window first."""
    members = sorted(indices, key=lambda index: (stage.graph.nodes[index].constants[0], index))
    {
        "means": _emit_means,
        "sums": _emit_sums,
        "pairs": _emit_pairs,
        "maxima": _emit_extremes,
        "minima": _emit_extremes,
        "sort": _emit_sort,
        "rank": _emit_rank,
        "count": _emit_single,
        "direct": _emit_single,
    }[family](stage, members)


def _window(stage: Stage, index: int) -> int:
    return int(stage.graph.nodes[index].constants[0])


def _start(stage: Stage, code: int, members: Sequence[int], first: int, count: int, most: int) -> Step:
    """Instruction that computes the blocks, from the first row that any window needs."""
    inputs = stage.graph.nodes[members[0]].inputs
    begin = min(stage.begin[index] - _window(stage, index) + 1 for index in members)
    return Step(code, None, inputs, begin, first, stage.types_of(*inputs), count, most)


def _addition_slots(stage: Stage, members: Sequence[int]) -> tuple[int, int, dict[int, int]]:
    rows = addition_chain(_window(stage, index) for index in members)
    slots = {1: 0} | {length: i + 1 for i, (length, _, _) in enumerate(rows)}
    first = len(stage.tables.chains)
    stage.tables.chains += [(slots[length], slots[a], slots[b], a, b) for length, a, b in rows]
    stage.tables.need(slots=len(slots))
    return first, len(rows), slots


def _emit_means(stage: Stage, members: Sequence[int]) -> None:
    first, count, slots = _addition_slots(stage, members)
    names = {stage.graph.nodes[index].operator for index in members}
    trends = bool(names & {"Slope", "Rsquare", "Resi"})
    wanted = (WITH_SQUARES if names & {"Std", "Var", "Rsquare"} else 0) | (WITH_TRENDS if trends else 0)
    stage.steps.append(_start(stage, op.CHAIN_MEANS, members, first, count, wanted))
    for index in members:
        node = stage.graph.nodes[index]
        window, types = _window(stage, index), stage.types_of(*node.inputs)
        measure = MEASURES[node.operator]
        begin = stage.begin[index]
        stage.finish(index, Step(op.FINISH_MEANS, index, node.inputs, begin, window, types, slots[window], measure))


def _emit_sums(stage: Stage, members: Sequence[int]) -> None:
    first, count, slots = _addition_slots(stage, members)
    stage.steps.append(_start(stage, op.CHAIN_SUMS, members, first, count, 0))
    for index in members:
        window, average = _window(stage, index), stage.graph.nodes[index].operator == "Mean"
        step = Step(op.FINISH_SUMS, index, (), stage.begin[index], window, 0, slots[window], int(average))
        stage.finish(index, step)


def _emit_pairs(stage: Stage, members: Sequence[int]) -> None:
    first, count, slots = _addition_slots(stage, members)
    chosen = {index: PAIRS[stage.graph.nodes[index].operator] for index in members}
    wanted = sum(1 << measure for measure in set(chosen.values()))
    stage.steps.append(_start(stage, op.CHAIN_PAIRS, members, first, count, wanted))
    for index in members:
        window = _window(stage, index)
        step = Step(op.FINISH_PAIRS, index, (), stage.begin[index], window, 0, slots[window], chosen[index])
        stage.finish(index, step)


def _emit_extremes(stage: Stage, members: Sequence[int]) -> None:
    rows = covering_chain(_window(stage, index) for index in members)
    slots = {1: 0} | {length: i + 1 for i, (length, _) in enumerate(rows)}
    first = len(stage.tables.chains)
    stage.tables.chains += [(slots[length], slots[block], length - block, length, 0) for length, block in rows]
    stage.tables.need(slots=len(slots))
    names = {stage.graph.nodes[index].operator for index in members}
    side = MINIMUM if names & {"Min", "IdxMin"} else 0
    wanted = side | (PLACES if names & {"IdxMax", "IdxMin"} else 0)
    stage.steps.append(_start(stage, op.CHAIN_EXTREMES, members, first, len(rows), wanted))
    types = stage.types_of(*stage.graph.nodes[members[0]].inputs)
    for index in members:
        window = _window(stage, index)
        measure = side | (PLACES if stage.graph.nodes[index].operator.startswith("Idx") else 0)
        step = Step(op.FINISH_EXTREMES, index, (), stage.begin[index], window, types, slots[window], measure)
        stage.finish(index, step)


def _emit_rank(stage: Stage, members: Sequence[int]) -> None:
    inputs = stage.graph.nodes[members[0]].inputs
    ranks = tuple((_window(stage, index), stage.begin[index], index) for index in members)
    stage.steps.append(Step(op.RANK, None, inputs, 0, 0, stage.types_of(*inputs), len(ranks), ranks=ranks))
    for index in members:
        stage.finish(index, None)


def _emit_single(stage: Stage, members: Sequence[int]) -> None:
    for index in members:
        node = stage.graph.nodes[index]
        code = op.COUNT if node.operator == "Count" else op.DIRECT
        types, measure = stage.types_of(*node.inputs), SHAPES.get(node.operator, 0)
        step = Step(code, index, node.inputs, stage.begin[index], _window(stage, index), types, 0, measure)
        stage.finish(index, step)


def _emit_sort(stage: Stage, members: Sequence[int]) -> None:
    windows = [_window(stage, index) for index in members]
    inputs = stage.graph.nodes[members[0]].inputs
    types = stage.types_of(*inputs)
    networked = max(windows) <= LONGEST_NETWORK and types == op.SINGLES
    shares = {index: _share_of(stage.graph.nodes[index]) for index in members}
    wanted: dict[int, set[int]] = {}
    for index, window in zip(members, windows, strict=True):
        wanted.setdefault(window, set()).update(_neighbours(shares[index], window))
    first, count, wires = _sorting_steps(stage.tables, wanted) if networked else (0, 0, {})
    stage.tables.need(wires=sum(len(order) for order in wires.values()))
    stage.steps.append(_start(stage, op.CHAIN_SORT, members, first, count, 0))
    for index, window in zip(members, windows, strict=True):
        low, high = _neighbours(shares[index], window)
        literal = stage.tables.number(shares[index], shares[index] * (window - 1) - low)
        slots = (wires[window][low], wires[window][high]) if networked else (-1, -1)
        step = Step(op.FINISH_QUANTILE, index, inputs, stage.begin[index], window, types, *slots, literal=literal)
        stage.finish(index, step)


def _share_of(node: Node) -> float:
    """Quantile that is wanted; -1 stands for the median, which pandas rounds in its own way."""
    return -1.0 if node.operator == "Med" else float(node.constants[1])


def _neighbours(share: float, window: int) -> tuple[int, int]:
    if share < 0:
        return (window - 1) // 2, window // 2
    low = int(share * (window - 1))
    return low, min(low + 1, window - 1)


def _sorting_steps(tables: Tables, wanted: dict[int, set[int]]) -> tuple[int, int, dict[int, list[int]]]:
    """Write the networks for some windows; return where they stand and, by length, the wires in order of rank."""
    rows = addition_chain(wanted)
    merged_from = {length for _, a, b in rows for length in (a, b)}
    wires, used, first = {1: [0]}, 1, len(tables.steps)
    for length, a, b in rows:
        comparators, order = merging_network(a, b)
        if length not in merged_from:
            comparators = prune(comparators, {order[rank] for rank in wanted[length]})
        index = len(tables.comparators)
        tables.steps.append((used, a, b, len(tables.sources), index, index + len(comparators)))
        tables.sources += wires[a] + wires[b]
        tables.comparators += comparators
        wires[length] = [used + wire for wire in order]
        used += length
    return first, len(rows), wires
