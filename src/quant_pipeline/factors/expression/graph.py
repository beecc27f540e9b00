"""A set of expressions as one graph in which everything equal is computed once."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from quant_pipeline.common.exceptions import FactorError
from quant_pipeline.common.listing import first_of
from quant_pipeline.factors.expression import operators
from quant_pipeline.factors.expression.operators import OPERATORS, Operator, find_operator, nearest
from quant_pipeline.factors.expression.parser import Call, Constant, Field, Tree, parse, syntax_error
from quant_pipeline.factors.expression.traded_fields import (
    FACTOR,
    VOLUME,
    divided_by_factor,
    multiplied_by_factor,
)
from quant_pipeline.factors.expression.types import CONDITION, DOUBLE, INTEGER, SINGLE, NumericType, type_of_call
from quant_pipeline.factors.kernels.histories import CARRIED

COMMUTATIVE = {"Add", "Mul"}
MIXED = {"Add", "Sub", "Mul", "Div", "Greater", "Less", "Gt", "Ge", "Lt", "Le", "Eq", "Ne"}
"""Operators whose arguments are widened when one of them is float64."""
LARGEST = 3.4028234663852886e38
"""Largest number of float32."""
EXPONENTIAL = {"Mean", "Sum", "Std", "Var", "Med", "Max", "Min", "Count", "EMA"}
"""Rolling operators that Qlib turns into an exponential mean when the window is a number between 0 and 1."""
LONGEST_WINDOW = 100_000
"""Bars: four centuries of sessions. Space for a window is allocated before anything is computed."""


@dataclass(frozen=True)
class Node:
    """One value of the graph.

    Attributes
    ----------
    operator
        Name of the operator; ``field`` and ``constant`` are leaves.
    inputs
        Places of its arguments in the graph.
    constants
        Window, shift, name or number.
    numeric
        What Qlib would hold it in.
    """

    operator: str
    inputs: tuple[int, ...]
    constants: tuple[float | int | str, ...]
    numeric: NumericType


@dataclass
class Graph:
    """Nodes in an order in which every argument stands before its use, and the roots of the named expressions."""

    nodes: list[Node] = field(default_factory=list)
    roots: dict[str, int] = field(default_factory=dict)
    _places: dict[Node, int] = field(default_factory=dict)

    def add(self, node: Node) -> int:
        """Return the place of a node; an equal one is used again."""
        if node not in self._places:
            self._places[node] = len(self.nodes)
            self.nodes.append(node)
        return self._places[node]

    def uses(self, start: int) -> set[int]:
        """All nodes that a node depends on, itself included."""
        seen, waiting = set(), [start]
        while waiting:
            index = waiting.pop()
            if index not in seen:
                seen.add(index)
                waiting.extend(self.nodes[index].inputs)
        return seen


def build_graph(
    expressions: Mapping[str, str], fields: Collection[str] | None = None, *, allow_future: bool = False
) -> Graph:
    """Read named expressions into one graph.

    Parameters
    ----------
    expressions
        Name to expression.
    fields
        Columns that exist; None accepts every name.
    allow_future
        Whether an expression may look ahead.

    Raises
    ------
    FactorError
        When an expression cannot be read, names something unknown, or looks ahead without leave; the message names the
        factor and the position.
    """
    graph = Graph()
    for name, expression in expressions.items():
        try:
            graph.roots[name] = _Builder(graph, expression, fields).build()
        except FactorError as error:
            raise FactorError(f"factor '{name}' cannot be read: {error}") from error
        except RecursionError:
            raise FactorError(
                f"factor '{name}' cannot be read: it is nested beyond reason, or a sum of too many terms: "
                f"'{expression[:40]}…'. Split it into several factors."
            ) from None
        if not allow_future:
            _refuse_future(graph, name, expression)
    return graph


def _refuse_future(graph: Graph, name: str, expression: str) -> None:
    for index in graph.uses(graph.roots[name]):
        node = graph.nodes[index]
        if looks_ahead(node):
            raise FactorError(
                f"feature '{name}' looks ahead: {expression}. A negative Ref is allowed in labels only; remove "
                "it from the feature set."
            )


def looks_ahead(node: Node) -> bool:
    """Whether a node reads bars after its own."""
    return node.operator == "Ref" and float(node.constants[0]) < 0


class _Builder:
    def __init__(self, graph: Graph, expression: str, fields: Collection[str] | None):
        self.graph = graph
        self.expression = expression
        self.fields = fields

    def build(self) -> int:
        tree = parse(self.expression)
        if isinstance(tree, Constant):
            raise self._error(tree, f"'{tree.value}' is a constant; an expression reads at least one field")
        return self._visit(tree)

    def _error(self, tree: Tree, problem: str) -> FactorError:
        return syntax_error(self.expression, tree.position, problem)

    def _visit(self, tree: Tree) -> int:
        if isinstance(tree, Constant):
            if isinstance(tree.value, str):
                raise self._error(tree, f"text '{tree.value}' where a series belongs")
            numeric = INTEGER if isinstance(tree.value, int) else DOUBLE
            return self.graph.add(Node("constant", (), (tree.value,), numeric))
        if isinstance(tree, Field):
            if self.fields is not None and tree.name not in self.fields:
                known = first_of(f"${name}" for name in sorted(self.fields))
                raise self._error(tree, f"no field ${tree.name}{nearest(tree.name, self.fields)}; there are {known}")
            return self.graph.add(Node("field", (), (tree.name,), SINGLE))
        operator = self._operator(tree)
        arguments = self._arguments(tree, operator)
        if operator.kind == operators.OTHER_INSTRUMENT and operator.name == "ChangeInstrument":
            arguments = arguments[::-1]
        series = [self._series(tree, operator, argument, i) for i, argument in enumerate(arguments[: operator.series])]
        constants = tuple(self._constant(tree, argument) for argument in arguments[operator.series :])
        return self._node(tree, operator, series, constants)

    def _operator(self, call: Call) -> Operator:
        operator = find_operator(call.operator)
        if operator is not None:
            return operator
        if call.operator in operators.REFUSED:
            raise self._error(
                call, f"operator {call.operator} {operators.REFUSED[call.operator]}; this engine refuses it"
            )
        known = [*OPERATORS, *operators.CUSTOM_OPERATORS]
        raise self._error(call, f"no operator {call.operator}{nearest(call.operator, known)}")

    def _arguments(self, call: Call, operator: Operator) -> list[Tree]:
        names = operator.parameters
        given = dict(zip(names, call.arguments, strict=False))
        usage = f"{operator.name}({', '.join(names)})"
        wrong = [name for name in call.named if name not in names or name in given]
        if len(call.arguments) > len(names) or wrong:
            extra = f"argument '{wrong[0]}'" if wrong else f"{len(call.arguments)} arguments"
            raise self._error(call, f"{extra} given, but it is {usage}")
        given |= call.named
        missing = [name for name in names if name not in given]
        if missing:
            raise self._error(call, f"argument '{missing[0]}' is missing: {usage}")
        return [given[name] for name in names]

    def _series(self, call: Call, operator: Operator, argument: Tree, index: int) -> int:
        if isinstance(argument, Constant) and operator.kind not in (operators.PAIR, operators.CHOICE):
            problem = f"{operator.name} needs an expression as '{operator.parameters[index]}', not {argument.value}"
            raise self._error(argument, problem)
        if operator.kind == operators.CHOICE and index == 0 and isinstance(argument, Constant):
            raise self._error(argument, f"{operator.name} needs an expression as 'condition', not {argument.value}")
        return self._visit(argument)

    def _constant(self, call: Call, argument: Tree) -> float | int | str:
        if isinstance(argument, Constant):
            return argument.value
        raise self._error(argument, f"{call.operator} needs a number here, not an expression")

    def _node(self, call: Call, operator: Operator, series: list[int], constants: tuple[Any, ...]) -> int:
        name = operator.name
        if operator.kind in (operators.ROLLING, operators.PAIR_ROLLING, operators.SHIFT):
            self._check_window(call, operator, constants)
            if operator.kind == operators.ROLLING and 0 < constants[0] < 1:
                name, constants = "EMA", constants[:1]
        if operator.kind == operators.PAIR and all(self.graph.nodes[index].operator == "constant" for index in series):
            raise self._error(call, f"{name} needs at least one expression")
        if name == "Delta":
            earlier = self._node(call, OPERATORS["Ref"], series, constants)
            return self._node(call, OPERATORS["Sub"], [*series, earlier], ())
        if name in operators.PLACES_OF_KNOWN:
            return self._place_of_known(call, name, series[0], constants)
        if name in COMMUTATIVE:
            series.sort()
        as_traded = self._as_traded(name, series)
        if as_traded is not None:
            return as_traded
        try:
            custom = operator.kind == operators.CUSTOM
            numeric = DOUBLE if custom else type_of_call(name, [self.graph.nodes[index] for index in series])
        except TypeError as error:
            raise self._error(call, str(error)) from error
        return self.graph.add(Node(name, self._in_types_of(name, series, numeric), constants, numeric))

    def _place_of_known(self, call: Call, name: str, series: int, window: tuple[Any, ...]) -> int:
        """Compose the place of an extreme of finite values: others are filled with the value that never wins.

        A window without a finite value is missing: its count of them, 0, is divided by itself.
        """
        extreme = operators.PLACES_OF_KNOWN[name]
        if self.graph.nodes[series].numeric is CONDITION:
            return self._node(call, OPERATORS[extreme], [series], window)
        worst = -LARGEST if extreme == "IdxMax" else LARGEST
        zero, filler = (self.graph.add(Node("constant", (), (number,), DOUBLE)) for number in (0.0, worst))
        nothing = self._node(call, OPERATORS["Sub"], [series, series], ())
        is_known = self._node(call, OPERATORS["Eq"], [nothing, zero], ())
        filled = self._node(call, OPERATORS["If"], [is_known, series, filler], ())
        index = self._node(call, OPERATORS[extreme], [filled], window)
        count = self._node(call, OPERATORS["Sum"], [is_known], window)
        return self._node(call, OPERATORS["Mul"], [index, self._node(call, OPERATORS["Div"], [count, count], ())], ())

    def _as_traded(self, name: str, series: list[int]) -> int | None:
        """Return the field that a price over the factor, or a volume times it, stands for; None for anything else."""
        nodes = [self.graph.nodes[index] for index in series]
        names = {node.constants[0] for node in nodes if node.operator == "field"}
        if name == "Div" and len(names) == 2 and nodes[1].constants == (FACTOR,):
            field = divided_by_factor(str(nodes[0].constants[0]))
        elif name == "Mul" and names == {VOLUME, FACTOR}:
            field = multiplied_by_factor(VOLUME)
        else:
            return None
        return self.graph.add(Node("field", (), (field,), SINGLE))

    def _in_types_of(self, name: str, series: list[int], numeric: NumericType) -> tuple[int, ...]:
        """Give constants the type of their partner, and arguments of a choice the type of its value."""
        nodes = [self.graph.nodes[index] for index in series]
        doubles = numeric.is_double
        if numeric is CONDITION:
            doubles = any(node.numeric.is_double for node in nodes if node.operator != "constant")
        wide = DOUBLE if doubles else SINGLE
        typed = [
            self.graph.add(replace(node, numeric=wide)) if node.operator == "constant" else index
            for node, index in zip(nodes, series, strict=True)
        ]
        if name == "Sign" and nodes[0].numeric.is_double:
            typed = [self.graph.add(Node("Narrow", (typed[0],), (), SINGLE))]
        if doubles and name in MIXED:
            typed = [self._widen(index) for index in typed]
        if name == "If":
            if nodes[0].numeric.is_double:
                zero = self.graph.add(Node("constant", (), (0,), DOUBLE))
                typed[0] = self.graph.add(Node("Ne", (typed[0], zero), (), CONDITION))
            typed[1:] = [self._widen(index) if doubles else index for index in typed[1:]]
        return tuple(typed)

    def _widen(self, index: int) -> int:
        if self.graph.nodes[index].numeric.is_double:
            return index
        return self.graph.add(Node("Widen", (index,), (), DOUBLE))

    def _check_window(self, call: Call, operator: Operator, constants: tuple[Any, ...]) -> None:
        window = constants[0]
        if isinstance(window, str):
            raise self._error(call, f"the window of {operator.name} is a number, not '{window}'")
        fading = operator.kind == operators.ROLLING and operator.name in EXPONENTIAL and 0 < window < 1
        if operator.name == "EMA":
            valid = window == 0 or 0 < window < 1 or window >= 1
        elif operator.kind == operators.SHIFT:
            valid = isinstance(window, int)
        else:
            valid = fading or (isinstance(window, int) and (window == 0 or window >= operator.smallest))
        if not valid:
            raise self._error(call, f"{operator.name} cannot have the window {window}")
        if abs(window) > LONGEST_WINDOW:
            raise self._error(
                call,
                f"the window {window} of {operator.name} is beyond reason: the longest is {LONGEST_WINDOW} bars",
            )
        if operator.name == "Quantile" and not (not isinstance(constants[1], str) and 0 <= constants[1] <= 1):
            raise self._error(call, f"a quantile lies between 0 and 1, not at {constants[1]}")


def join_outputs(graph: Graph) -> None:
    """Turn divisions that are outputs into instructions that divide while they store.

    In float64 the denominator is turned over once for all factors that it divides; the product differs from the
    quotient by less than one unit of float64, and is rounded to float32 at once.
    """
    used = {child for node in graph.nodes for child in node.inputs}
    for name, index in graph.roots.items():
        node = graph.nodes[index]
        if node.operator != "Div" or index in used:
            continue
        above, below = node.inputs
        if node.numeric is DOUBLE:
            turned = graph.add(Node("Reciprocal", (below,), (), DOUBLE))
            graph.roots[name] = graph.add(Node("Product", (above, turned), (0,), DOUBLE))
        else:
            bars, shifted = 0, graph.nodes[above]
            if shifted.operator == "Ref" and shifted.constants[0] != 0:
                above, bars = shifted.inputs[0], int(shifted.constants[0])
            graph.roots[name] = graph.add(Node("Ratio", (above, below), (bars,), node.numeric))


@dataclass(frozen=True)
class Reach:
    """Bars that a value depends on, before and after its own; infinite when it is the whole history."""

    back: float
    ahead: float


def reach_of(node: Node, *, carried: bool = False) -> Reach:
    """Bars that an operator reads of its arguments; those behind a carried state do not count when it is there."""
    if node.operator == "Ratio":
        return Reach(max(float(node.constants[0]), 0), max(-float(node.constants[0]), 0))
    operator = find_operator(node.operator)
    if operator is None or operator.kind in (
        operators.ELEMENT,
        operators.PAIR,
        operators.CHOICE,
        operators.OTHER_INSTRUMENT,
        operators.CROSS_SECTION,
    ):
        return Reach(0, 0)
    if operator.kind == operators.CUSTOM:
        return Reach(operators.CUSTOM_OPERATORS[node.operator].lookback(*node.constants), 0)
    if operator.kind == operators.RESAMPLE:
        return Reach(math.inf, 0)
    window = float(node.constants[0])
    if window == 0 or node.operator == "EMA":
        resumes = node.operator in CARRIED or (node.operator == "EMA" and window != 0)
        return Reach(0 if carried and resumes else math.inf, 0)
    if operator.kind == operators.SHIFT:
        return Reach(max(window, 0), max(-window, 0))
    return Reach(window - 1, 0)


def needed_reach(graph: Graph, *, carried: bool = False) -> list[Reach]:
    """Bars of every node that the roots depend on, before and after their own."""
    back = [-math.inf] * len(graph.nodes)
    ahead = [-math.inf] * len(graph.nodes)
    for root in graph.roots.values():
        back[root], ahead[root] = max(back[root], 0), max(ahead[root], 0)
    for index in range(len(graph.nodes) - 1, -1, -1):
        node = graph.nodes[index]
        reach = reach_of(node, carried=carried)
        for child in node.inputs:
            back[child] = max(back[child], back[index] + reach.back)
            ahead[child] = max(ahead[child], ahead[index] + reach.ahead)
    return [Reach(b, a) for b, a in zip(back, ahead, strict=True)]
