"""Walking through the few set flags of many without a branch per flag, compiled."""

from __future__ import annotations

import numpy as np

from quant_pipeline.common.compiled import shared

FLAGS_PER_WORD = 8
WORDS_PER_MASK = 8
FLAGS_PER_MASK = FLAGS_PER_WORD * WORDS_PER_MASK

# Multiplying eight bytes of 0 or 1 by it collects them in the top byte, the first byte in its lowest bit.
_COLLECT = np.uint64(0x0102040810204080)
_TOP_BYTE = np.uint64(56)

# A de Bruijn sequence: each of its 64 windows of six bits is different, so a window tells how far it was shifted.
_SEQUENCE = 0x03F79D71B4CB0A89
_TOP_SIX_BITS = np.uint64(58)
_PLACE_OF_WINDOW = np.argsort([(_SEQUENCE << place) % 2**64 >> 58 for place in range(64)])


@shared
def bits_of(flags: np.uint64) -> np.uint64:
    """Eight flags, bytes of 0 or 1, as eight bits."""
    return (flags * _COLLECT) >> _TOP_BYTE


@shared
def lowest_bit(mask: np.uint64) -> int:
    """Place of the lowest set bit of a mask that has one."""
    alone = mask & (~mask + np.uint64(1))
    return _PLACE_OF_WINDOW[(alone * np.uint64(_SEQUENCE)) >> _TOP_SIX_BITS]
