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
from quant_pipeline.factors.kernels import arithmetic
from quant_pipeline.factors.kernels import opcodes as op

COMBINATIONS = {
    name: getattr(arithmetic, name.upper()) for name in ("Add", "Sub", "Mul", "Div", "Greater", "Less", "And", "Or")
}
_OF_CONDITIONS = {
    "Add": arithmetic.OR,
    "Mul": arithmetic.AND,
    "Greater": arithmetic.OR,
    "Less": arithmetic.AND,
}
COMPARISONS = {name: getattr(arithmetic, name.upper()) for name in ("Gt", "Ge", "Lt", "Le", "Eq", "Ne")}

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
        place = waiting.pop()
        if place not in seen:
            seen.add(place)
            waiting.extend(() if place in leaves else graph.nodes[place].inputs)
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
        for place in members:
            node = graph.nodes[place]
            if place in leaves or node.operator == "constant":
                continue
            for child in dict.fromkeys(node.inputs):
                self.consumers[child].append(place)
            family = family_of(node, graph)
            if family is not None:
                self.group_of[place] = (family, node.inputs)
                self.groups[self.group_of[place]].append(place)
        self._measure_reach()

    def _measure_reach(self) -> None:
        back, ahead = dict.fromkeys(self.members, 0), dict.fromkeys(self.members, 0)
        for place in reversed(self.members):
            if place not in self.leaves:
                reach = reach_of(self.graph.nodes[place])
                for child in self.graph.nodes[place].inputs:
                    back[child] = max(back[child], back[place] + int(reach.back))
                    ahead[child] = max(ahead[child], ahead[place] + int(reach.ahead))
        self.back, self.ahead = max(back.values(), default=0), max(ahead.values(), default=0)
        self.begin = {place: self.back - bars for place, bars in back.items()}

    def types_of(self, *places: int) -> int:
        wide = [self.graph.nodes[place].numeric.is_double for place in places]
        if all(wide):
            return op.DOUBLES
        if not any(wide):
            return op.SINGLES
        return op.DOUBLE_SINGLE if wide[0] else op.SINGLE_DOUBLE

    def run(self) -> None:
        """Order the members: constants and leaves first, then family by family what becomes ready."""
        for place in self.members:
            if self.graph.nodes[place].operator == "constant":
                number = self.tables.number(float(self.graph.nodes[place].constants[0]))
                self.finish(place, Step(op.FILL, place, number=number, types=self.types_of(place)))
        for place in self.members:
            if place in self.leaves:
                kind, number = self.leaves[place]
                self.finish(place, Step(LOADS[kind], place, number=number))
        for place in self.members:
            self._compute(place)

    def _compute(self, place: int) -> None:
        """Compute a node after what it needs."""
        if place in self.done:
            return
        for child in self.graph.nodes[place].inputs:
            self._compute(child)
        if place in self.done:
            return
        if place in self.group_of:
            emit_family(self, self.group_of[place][0], self.groups[self.group_of[place]])
        else:
            self._emit_arithmetic(place)

    def _emit_arithmetic(self, place: int) -> None:
        joined = self.graph.nodes[place].operator in OUTPUTS
        self.finish(place, None if joined else self._arithmetic(place))

    def finish(self, place: int, step: Step | None) -> None:
        """Note that a node is computed, store it where it is wanted, go on with what became ready."""
        if step is not None:
            self.steps.append(step)
        node = self.graph.nodes[place]
        leaf = place in self.leaves or node.operator == "constant"
        if not leaf and (node.numeric is CONDITION or node.operator == "If" or (self.ahead and place in self.group_of)):
            self.steps.append(Step(op.OUTSIDE, place, begin=self.begin[place], types=self.types_of(place)))
        self.done.add(place)
        for kind, number in self.targets.get(place, ()):
            if node.operator in OUTPUTS:
                code, types, bars = OUTPUTS[node.operator], self.types_of(*node.inputs), int(node.constants[0])
                self.steps.append(Step(code, inputs=node.inputs, number=number, types=types, more=bars))
                continue
            self.steps.append(Step(STORES[kind], inputs=(place,), number=number, types=self.types_of(place)))
        for consumer in self.consumers[place]:
            ready = all(child in self.done for child in self.graph.nodes[consumer].inputs)
            if ready and consumer not in self.group_of and consumer not in self.done:
                self._emit_arithmetic(consumer)

    def _arithmetic(self, place: int) -> Step:
        node = self.graph.nodes[place]
        name, inputs = node.operator, node.inputs
        types = self.types_of(*inputs)
        if name in COMPARISONS:
            code, kind = op.COMPARE, COMPARISONS[name]
        elif name in COMBINATIONS:
            kinds = COMBINATIONS | (_OF_CONDITIONS if node.numeric is CONDITION else {})
            code, kind = op.COMBINE, kinds[name]
        elif name == "If":
            code, kind, types = op.CHOOSE, 0, self.types_of(place)
            inputs = (*inputs[1:], inputs[0])
        elif name == "Ref":
            code, kind = op.SHIFT, int(node.constants[0])
        elif name in ("Widen", "Narrow"):
            code, kind = getattr(op, name.upper()), 0
        else:
            code, kind = op.TRANSFORM, getattr(arithmetic, name.upper())
            if name == "Not" and node.numeric is INTEGER:
                kind = arithmetic.COMPLEMENT
        return Step(code, place, inputs, self.begin[place], kind, types)


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
