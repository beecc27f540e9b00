"""What cells of a column are to the kernels, and how rows of files are handed to them."""

from __future__ import annotations

from typing import Final

IGNORED: Final = 0
"""A text that is not used."""
NUMBER: Final = 1
"""Written out, ``-12.5``."""
AMOUNT: Final = 2
"""A number that is not below zero."""
RATIO: Final = 3
"""A number that is not below zero; 0 stands for 1."""
DATE: Final = 4
"""``2024-03-01`` or ``20240301``, all of a file alike."""
MIDNIGHT: Final = 5
"""``000000``."""
NAME: Final = 6
"""A text that is the same in all rows of a file."""

START, STOP, FIRST_ROW, ROWS, IS_READ, NAME_START, NAME_STOP = range(7)
"""Of a file: where its rows begin and end in the text, the place of its first row and how many there are, whether the
kernel has read it, and where its first name begins and ends."""
N_FACTS: Final = 7
