"""Instructions before they have registers, and how they get them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quant_pipeline.factors.expression.graph import Graph
from quant_pipeline.factors.expression.tables import Tables
from quant_pipeline.factors.kernels import opcodes as op


@dataclass
class Step:
    """An instruction: nodes stand where registers will; the other numbers are those of the opcode."""

    code: int
    target: int | None = None
    inputs: tuple[int, ...] = ()
    begin: int = 0
    number: int = 0
    types: int = 0
    more: int = 0
    most: int = 0
    literal: int = 0
    ranks: tuple[tuple[int, int, int], ...] = ()

    @property
    def written(self) -> tuple[int, ...]:
        """Nodes whose registers it writes."""
        return tuple(index for _, _, index in self.ranks) or (() if self.target is None else (self.target,))


class _Registers:
    """Free and used rows of the two register files."""

    def __init__(self) -> None:
        self.given: dict[int, int] = {}
        self.free: dict[str, list[int]] = {"single": [], "double": []}
        self.count = {"single": 0, "double": 0}

    def take(self, index: int, kind: str) -> None:
        """Give a node a register."""
        if index not in self.given:
            if not self.free[kind]:
                self.free[kind].append(self.count[kind])
                self.count[kind] += 1
            self.given[index] = self.free[kind].pop()

    def release(self, index: int, kind: str) -> None:
        """Take a register back."""
        self.free[kind].append(self.given[index])


def give_registers(graph: Graph, steps: Sequence[Step], tables: Tables) -> np.ndarray:
    """Give every node a register from its first writing to its last reading, and write the instructions down."""

    def kind_of(index: int) -> str:
        return "double" if graph.nodes[index].numeric.is_double else "single"

    last = {index: i for i, step in enumerate(steps) for index in (*step.written, *step.inputs)}
    registers = _Registers()
    code = np.zeros((len(steps), op.INSTRUCTION), np.int64)
    for i, step in enumerate(steps):
        for index in step.written:
            registers.take(index, kind_of(index))
        code[i] = _encode(step, registers.given, tables)
        for index in dict.fromkeys((*step.inputs, *step.written)):
            if last[index] == i and graph.nodes[index].operator != "constant":
                registers.release(index, kind_of(index))
    tables.need(single=registers.count["single"], double=registers.count["double"])
    return code


def _encode(step: Step, given: dict[int, int], tables: Tables) -> list[int]:
    number = step.number
    if step.ranks:
        number = len(tables.ranks)
        tables.ranks += [(window, begin, given[index]) for window, begin, index in step.ranks]
    inputs = [given[index] for index in step.inputs]
    first, second, third = [*inputs, 0, 0, 0][:3]
    target = 0 if step.target is None else given[step.target]
    third = step.literal or third
    return [step.code, target, first, second, third, step.begin, number, step.types, step.more, step.most]
