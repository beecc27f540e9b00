"""Numbers of the arithmetic, the comparisons and the functions of one series; free of numba, as the plan needs them."""

from __future__ import annotations

ADD, SUB, MUL, DIV, GREATER, LESS, AND, OR = range(8)
GT, GE, LT, LE, EQ, NE = range(6)
ABS, SIGN, NOT, COMPLEMENT, RECIPROCAL = range(5)
