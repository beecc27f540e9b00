"""Numbers of the instructions, and of their kinds of arithmetic; free of numba, as the plan needs them.

An instruction is ``(opcode, target, first, second, third, begin, number, types, more, most)``: registers, the first
row of the tile for which the value is needed, and what the comments here say.
"""

from __future__ import annotations

INSTRUCTION = 10
SEGMENT = 9
"""Numbers of a stretch of bars in a tile; see `machine.run_stage`."""

SINGLES, DOUBLES, SINGLE_DOUBLE, DOUBLE_SINGLE = range(4)
"""Types of the arguments."""

FILL, COMBINE, COMPARE, TRANSFORM, CHOOSE, WIDEN, SHIFT, OUTSIDE, NARROW = range(9)
"""Row by row; number: which constant, kind of arithmetic, or bars. third: the condition of a choice."""

FIRST_MOVE = 10
LOAD_FIELD, LOAD_SINGLE, LOAD_DOUBLE = range(10, 13)
STORE_OUTPUT, STORE_SINGLE, STORE_DOUBLE, STORE_RATIO, STORE_PRODUCT = range(13, 18)
"""Between tile and memory; number: which field, column or factor. more: how many bars ago the first is."""

FIRST_CHAIN = 20
CHAIN_MEANS, CHAIN_SUMS, CHAIN_EXTREMES, CHAIN_PAIRS, CHAIN_SORT = range(20, 25)
"""Number and more: first row and count of the chain (of the steps, when sorting); most: what is wanted of it."""

FIRST_FINISH = 30
FINISH_MEANS, FINISH_SUMS, FINISH_EXTREMES, FINISH_PAIRS, FINISH_QUANTILE = range(30, 35)
"""Number: the window; more: its slot in the chain; most: the measure."""

FIRST_WINDOW = 40
RANK, COUNT, DIRECT = range(40, 43)
"""Number: the window, or the first row of the windows of a rank, more: their count; most: the measure."""

ADD, SUB, MUL, DIV, GREATER, LESS, AND, OR = range(8)
GT, GE, LT, LE, EQ, NE = range(6)
ABS, SIGN, NOT, COMPLEMENT, RECIPROCAL = range(5)
"""Kinds of COMBINE, of COMPARE and of TRANSFORM."""
