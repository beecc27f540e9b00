"""The order of the instructions of one stage.

Rolling measures of one series and one family are finished one after the other while their blocks are in the cache, and
what can be computed from a finished value is computed at once, so that few registers are alive.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from typing import Any

import numpy as np

from quant_pipeline.factors.expression.families import emit_family, family_of
from quant_pipeline.factors.expression.graph import Graph, reach_of
from quant_pipeline.factors.expression.steps import Step, give_registers
from quant_pipeline.factors.expression.tables import Tables
from quant_pipeline.factors.expression.types import CONDITION, INTEGER
from quant_pipeline.factors.kernels import opcodes as op

COMBINATIONS = {
    name: getattr(op, name.upper()) for name in ("Add", "Sub", "Mul", "Div", "Greater", "Less", "And", "Or")
}
_OF_CONDITIONS = {
    "Add": op.OR,
    "Mul": op.AND,
    "Greater": op.OR,
    "Less": op.AND,
}
COMPARISONS = {name: getattr(op, name.upper()) for name in ("Gt", "Ge", "Lt", "Le", "Eq", "Ne")}

LOADS = {"field": op.LOAD_FIELD, "single": op.LOAD_SINGLE, "double": op.LOAD_DOUBLE}
STORES = {"output": op.STORE_OUTPUT, "single": op.STORE_SINGLE, "double": op.STORE_DOUBLE}
OUTPUTS = {"Ratio": op.STORE_RATIO, "Product": op.STORE_PRODUCT}
"""Nodes that are computed while they are stored."""
Source = tuple[str, int]
"""Where a leaf is read or a target is written: ``field``, ``single``, ``double`` or ``output``, and its number."""


def members_of(graph: Graph, targets: Iterable[int], leaves: Container[int]) -> list[int]:
    """Nodes that must be computed or loaded for some targets, arguments first."""
    seen: set[int] = set()
    waiting = list(targets)
    while waiting:
        index = waiting.pop()
        if index not in seen:
            seen.add(index)
            waiting.extend(() if index in leaves else graph.nodes[index].inputs)
    return sorted(seen)


class _Scheduler:
    def __init__(
        self,
        graph: Graph,
        members: list[int],
        leaves: Mapping[int, Source],
        targets: Mapping[int, list[Source]],
        tables: Tables,
    ) -> None:
        self.graph = graph
        self.members = members
        self.leaves = leaves
        self.targets = targets
        self.tables = tables
        self.steps: list[Step] = []
        self.done: set[int] = set()
        self.consumers: dict[int, list[int]] = defaultdict(list)
        self.groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        self.group_of: dict[int, tuple[Any, ...]] = {}
        for index in members:
            node = graph.nodes[index]
            if index in leaves or node.operator == "constant":
                continue
            for child in dict.fromkeys(node.inputs):
                self.consumers[child].append(index)
            family = family_of(node, graph)
            if family is not None:
                self.group_of[index] = (family, node.inputs)
                self.groups[self.group_of[index]].append(index)
        self._measure_reach()

    def _measure_reach(self) -> None:
        back, ahead = dict.fromkeys(self.members, 0), dict.fromkeys(self.members, 0)
        for index in reversed(self.members):
            if index not in self.leaves:
                reach = reach_of(self.graph.nodes[index])
                for child in self.graph.nodes[index].inputs:
                    back[child] = max(back[child], back[index] + int(reach.back))
                    ahead[child] = max(ahead[child], ahead[index] + int(reach.ahead))
        self.back, self.ahead = max(back.values(), default=0), max(ahead.values(), default=0)
        self.begin = {index: self.back - bars for index, bars in back.items()}

    def types_of(self, *indices: int) -> int:
        wide = [self.graph.nodes[index].numeric.is_double for index in indices]
        if all(wide):
            return op.DOUBLES
        if not any(wide):
            return op.SINGLES
        return op.DOUBLE_SINGLE if wide[0] else op.SINGLE_DOUBLE

    def run(self) -> None:
        """Order the members: constants and leaves first, then family by family what becomes ready."""
        for index in self.members:
            if self.graph.nodes[index].operator == "constant":
                number = self.tables.number(float(self.graph.nodes[index].constants[0]))
                self.finish(index, Step(op.FILL, index, number=number, types=self.types_of(index)))
        for index in self.members:
            if index in self.leaves:
                kind, number = self.leaves[index]
                self.finish(index, Step(LOADS[kind], index, number=number))
        for index in self.members:
            self._compute(index)

    def _compute(self, index: int) -> None:
        """Compute a node after what it needs."""
        if index in self.done:
            return
        for child in self.graph.nodes[index].inputs:
            self._compute(child)
        if index in self.done:
            return
        if index in self.group_of:
            emit_family(self, self.group_of[index][0], self.groups[self.group_of[index]])
        else:
            self._emit_arithmetic(index)

    def _emit_arithmetic(self, index: int) -> None:
        joined = self.graph.nodes[index].operator in OUTPUTS
        self.finish(index, None if joined else self._arithmetic(index))

    def finish(self, index: int, step: Step | None) -> None:
        """Note that a node is computed, store it where it is wanted, go on with what became ready."""
        if step is not None:
            self.steps.append(step)
        node = self.graph.nodes[index]
        leaf = index in self.leaves or node.operator == "constant"
        if not leaf and (node.numeric is CONDITION or node.operator == "If" or (self.ahead and index in self.group_of)):
            self.steps.append(Step(op.OUTSIDE, index, begin=self.begin[index], types=self.types_of(index)))
        self.done.add(index)
        for kind, number in self.targets.get(index, ()):
            if node.operator in OUTPUTS:
                code, types, bars = OUTPUTS[node.operator], self.types_of(*node.inputs), int(node.constants[0])
                self.steps.append(Step(code, inputs=node.inputs, number=number, types=types, more=bars))
                continue
            self.steps.append(Step(STORES[kind], inputs=(index,), number=number, types=self.types_of(index)))
        for consumer in self.consumers[index]:
            ready = all(child in self.done for child in self.graph.nodes[consumer].inputs)
            if ready and consumer not in self.group_of and consumer not in self.done:
                self._emit_arithmetic(consumer)

    def _arithmetic(self, index: int) -> Step:
        node = self.graph.nodes[index]
        name, inputs = node.operator, node.inputs
        types = self.types_of(*inputs)
        if name in COMPARISONS:
            code, kind = op.COMPARE, COMPARISONS[name]
        elif name in COMBINATIONS:
            kinds = COMBINATIONS | (_OF_CONDITIONS if node.numeric is CONDITION else {})
            code, kind = op.COMBINE, kinds[name]
        elif name == "If":
            code, kind, types = op.CHOOSE, 0, self.types_of(index)
            inputs = (*inputs[1:], inputs[0])
        elif name == "Ref":
            code, kind = op.SHIFT, int(node.constants[0])
        elif name in ("Widen", "Narrow"):
            code, kind = getattr(op, name.upper()), 0
        else:
            code, kind = op.TRANSFORM, getattr(op, name.upper())
            if name == "Not" and node.numeric is INTEGER:
                kind = op.COMPLEMENT
        return Step(code, index, inputs, self.begin[index], kind, types)


def schedule_stage(
    graph: Graph, targets: Mapping[int, list[Source]], leaves: Mapping[int, Source], tables: Tables
) -> tuple[np.ndarray, int, int]:
    """Write the instructions that compute some nodes.

    Parameters
    ----------
    graph
        The nodes.
    targets
        Node to the places where its value is wanted.
    leaves
        Node to the place from where it is loaded.
    tables
        Grow by what the stage needs.

    Returns
    -------
    tuple
        Instructions, and the bars before and after its own that the stage reads.
    """
    stage = _Scheduler(graph, members_of(graph, targets, leaves), leaves, targets, tables)
    stage.run()
    return give_registers(graph, stage.steps, tables), stage.back, stage.ahead
