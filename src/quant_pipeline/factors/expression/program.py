"""From a graph to stages of instructions.

A stage is a run of the machine over all bars. What is no arithmetic of the machine, such as a logarithm by numpy, a
mean over the whole history or a rank across instruments, is a `ColumnOperation` between two stages: it takes whole
columns and leaves one. Every node is computed in the first stage that wants it; cheap ones again in later stages, the
others are kept as columns.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from quant_pipeline.factors.expression import operators
from quant_pipeline.factors.expression.families import family_of
from quant_pipeline.factors.expression.graph import Graph, Node, join_outputs, needed_reach
from quant_pipeline.factors.expression.operators import find_operator
from quant_pipeline.factors.expression.scheduling import Source, members_of, schedule_stage
from quant_pipeline.factors.expression.tables import Tables

_COLUMN_KINDS = {operators.OTHER_INSTRUMENT, operators.RESAMPLE, operators.CROSS_SECTION, operators.CUSTOM}


@dataclass(frozen=True)
class ColumnOperation:
    """An operation on whole columns.

    Attributes
    ----------
    operator
        Its name.
    inputs
        Keys of the columns it reads, or numbers.
    constants
        Its constants.
    target
        Key of the column it leaves.
    """

    operator: str
    inputs: tuple[Source | float, ...]
    constants: tuple[float | int | str, ...]
    target: Source


@dataclass
class Stage:
    """One run of the machine, and the operations on columns after it.

    Attributes
    ----------
    code
        Instructions; see `quant_pipeline.factors.kernels.opcodes`.
    back, ahead
        Bars before and after its own that the stage reads.
    operations
        What follows.
    """

    code: np.ndarray
    back: int
    ahead: int
    operations: list[ColumnOperation] = field(default_factory=list)


@dataclass
class Program:
    """Stages with the tables and the sizes of working memory that they need.

    Attributes
    ----------
    factors
        Names of the outputs, in order.
    fields
        Names of the columns of the bars.
    stages
        In order of execution; the last one writes the outputs.
    tables
        Chains, windows of ranks, sorting networks and numbers of all stages.
    singles, doubles
        Number of float32 and float64 columns between stages.
    sizes
        Registers, slots and wires of the working memory.
    back, ahead
        Bars before and after its own that a value depends on; ``back`` is infinite for a recursive factor.
    carried_back
        The same for a stream, which carries the state of recursive factors.
    """

    factors: tuple[str, ...]
    fields: tuple[str, ...]
    stages: list[Stage]
    tables: tuple[np.ndarray, ...]
    singles: int
    doubles: int
    sizes: dict[str, int]
    back: float
    carried_back: float
    ahead: float

    @property
    def fingerprint(self) -> str:
        """Digest of what the program computes."""
        digest = hashlib.sha256(repr((self.factors, self.fields, [stage.operations for stage in self.stages])).encode())
        for array in (*self.tables, *(stage.code for stage in self.stages)):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @property
    def joins_instruments(self) -> bool:
        """Whether a value depends on other instruments."""
        return bool(self._operations_of({operators.CROSS_SECTION, operators.OTHER_INSTRUMENT}))

    @property
    def is_divisible(self) -> bool:
        """Whether other processes may compute some of the instruments each.

        No value then depends on another instrument, and no operator of the user is known to this process alone.
        """
        return not self._operations_of({operators.CROSS_SECTION, operators.OTHER_INSTRUMENT, operators.CUSTOM})

    @property
    def other_instruments(self) -> set[str]:
        """Instruments that an expression names."""
        return {read_instrument(operation) for operation in self._operations_of({operators.OTHER_INSTRUMENT})}

    def _operations_of(self, kinds: set[str]) -> list[ColumnOperation]:
        operations = [operation for stage in self.stages for operation in stage.operations]
        return [o for o in operations if getattr(find_operator(o.operator), "kind", None) in kinds]


def read_instrument(operation: ColumnOperation) -> str:
    """Return the instrument that an operation reads."""
    return str(operation.constants[0]).upper()


def is_column_operation(node: Node) -> bool:
    """Whether a node is computed between stages."""
    if node.operator in ("Log", "Power", "EMA"):
        return True
    operator = find_operator(node.operator)
    if operator is None:
        return False
    if operator.kind in _COLUMN_KINDS:
        return True
    recursive = operator.kind in (operators.ROLLING, operators.PAIR_ROLLING, operators.SHIFT)
    return recursive and node.constants[0] == 0


def compile_graph(graph: Graph) -> Program:
    """Lower a graph to a program."""
    join_outputs(graph)
    plan = _Stages(graph)
    tables = Tables()
    fields = tuple(dict.fromkeys(str(node.constants[0]) for node in graph.nodes if node.operator == "field"))
    outputs: dict[int, list[Source]] = defaultdict(list)
    for number, root in enumerate(graph.roots.values()):
        outputs[root].append(("output", number))
    stages = []
    for number in range(plan.last + 1):
        targets = {index: [plan.column(index)] for index in plan.kept[number]}
        if number == plan.last:
            targets = dict(outputs)
        leaves = {index: plan.source(index, fields) for index in plan.leaves(number)}
        code, back, ahead = schedule_stage(graph, targets, leaves, tables)
        stages.append(Stage(code, back, ahead, plan.operations(number, fields)))
    indices = [index for index in plan.alive if graph.nodes[index].operator == "field"]
    reach, carried = needed_reach(graph), needed_reach(graph, carried=True)
    return Program(
        factors=tuple(graph.roots),
        fields=fields,
        stages=stages,
        tables=tables.arrays(),
        singles=plan.used["single"],
        doubles=plan.used["double"],
        sizes=dict(tables.sizes),
        back=max(reach[index].back for index in indices),
        carried_back=max(carried[index].back for index in indices),
        ahead=max(reach[index].ahead for index in indices),
    )


def _number(node: Node) -> float:
    """Value of a constant, as a number of Python, which has no precision of its own."""
    value = node.constants[0]
    return value if isinstance(value, int) else float(value)


class _Stages:
    """Which node is computed in which stage, and which column holds what one stage leaves for another."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.alive = sorted(set().union(*(graph.uses(root) for root in graph.roots.values())))
        self.level: dict[int, int] = {}
        for index in self.alive:
            node = graph.nodes[index]
            deepest = max((self.level[child] for child in node.inputs), default=0)
            self.level[index] = deepest + is_column_operation(node)
        self.last = max(self.level[root] for root in graph.roots.values())
        self.columns: dict[int, Source] = {}
        self.used = {"single": 0, "double": 0}
        self.kept: list[set[int]] = [set() for _ in range(self.last + 1)]
        for index in self.alive:
            if is_column_operation(graph.nodes[index]):
                self.kept[self.level[index] - 1] |= {
                    child for child in graph.nodes[index].inputs if self._computes(child)
                }
        self._keep_what_is_dear()

    def _computes(self, index: int) -> bool:
        node = self.graph.nodes[index]
        return node.operator not in ("field", "constant") and not is_column_operation(node)

    def leaves(self, number: int) -> set[int]:
        """Nodes that a stage loads."""
        before = set().union(*self.kept[:number]) if number else set()
        return {index for index in self.alive if self._is_loaded(index, number, before)}

    def _is_loaded(self, index: int, number: int, before: set[int]) -> bool:
        node = self.graph.nodes[index]
        return (
            node.operator == "field" or (is_column_operation(node) and self.level[index] <= number) or index in before
        )

    def _keep_what_is_dear(self) -> None:
        """Keep rolling measures that a later stage wants again."""
        seen: dict[int, int] = {}
        for number in range(self.last + 1):
            targets = self.kept[number] if number < self.last else set(self.graph.roots.values())
            for index in members_of(self.graph, targets, self.leaves(number)):
                if family_of(self.graph.nodes[index], self.graph) is None or not self._computes(index):
                    continue
                if index in seen:
                    self.kept[seen[index]].add(index)
                else:
                    seen[index] = number

    def column(self, index: int) -> Source:
        """Column of a node."""
        if index not in self.columns:
            kind = "double" if self.graph.nodes[index].numeric.is_double else "single"
            self.columns[index] = (kind, self.used[kind])
            self.used[kind] += 1
        return self.columns[index]

    def source(self, index: int, fields: Sequence[str]) -> Source:
        """Place from which a leaf is loaded."""
        node = self.graph.nodes[index]
        return ("field", fields.index(str(node.constants[0]))) if node.operator == "field" else self.column(index)

    def operations(self, number: int, fields: Sequence[str]) -> list[ColumnOperation]:
        """Return what follows a stage."""
        indices = [index for index in self.alive if is_column_operation(self.graph.nodes[index])]
        found = []
        for index in indices:
            node = self.graph.nodes[index]
            if self.level[index] == number + 1:
                found.append(
                    ColumnOperation(node.operator, self._arguments(node, fields), node.constants, self.column(index))
                )
        return found

    def _arguments(self, node: Node, fields: Sequence[str]) -> tuple[Source | float, ...]:
        children = [self.graph.nodes[child] for child in node.inputs]
        return tuple(
            _number(child) if child.operator == "constant" else self.source(index, fields)
            for index, child in zip(node.inputs, children, strict=True)
        )
