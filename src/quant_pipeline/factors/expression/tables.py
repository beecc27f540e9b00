"""Constant tables that the instructions of a program refer to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Tables:
    """Constant tables of a program, filled while its stages are scheduled."""

    chains: list[tuple[int, ...]] = field(default_factory=list)
    ranks: list[tuple[int, ...]] = field(default_factory=list)
    steps: list[tuple[int, ...]] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    comparators: list[tuple[int, int]] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=lambda: {"single": 1, "double": 1, "slots": 1, "wires": 1})

    def need(self, **sizes: int) -> None:
        """Note that working memory must be at least this large."""
        for name, size in sizes.items():
            self.sizes[name] = max(self.sizes[name], size)

    def number(self, *numbers: float) -> int:
        """Keep numbers side by side and return the place of the first."""
        self.numbers.extend(numbers)
        return len(self.numbers) - len(numbers)

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Return the tables as the machine reads them."""
        shaped = [
            np.array(rows, np.int64).reshape(-1, width)
            for rows, width in ((self.chains, 5), (self.ranks, 3), (self.steps, 6))
        ]
        comparators = np.array(self.comparators, np.int64).reshape(-1, 2)
        return (*shaped, np.array(self.sources, np.int64), comparators, np.array(self.numbers, np.float64))
