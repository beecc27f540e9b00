"""Cut histories into tiles for the machine."""

from __future__ import annotations

import numpy as np

from quant_pipeline.factors.kernels import allocating

SEGMENT = 9


@allocating
def cut_tiles(spans, back, ahead, size, whole):
    """Cut the wanted rows of every instrument into stretches and pack these into tiles.

    Parameters
    ----------
    spans
        Per instrument: first and last known row, first and last wanted row, row of the first wanted one in the output.
    back, ahead
        Rows that a wanted row reaches back and ahead.
    size
        Rows of a tile.
    whole
        Whether the known rows are wanted, all of them, at their own place in the columns.

    Returns
    -------
    tuple
        Tiles ``(first segment, last segment, rows)`` and segments; see `machine.run_stage`. The first bars of a
        history, whose windows are not full, share tiles of their own.
    """
    room = size - back - ahead
    most = 0
    for i in range(spans.shape[0]):
        first, last = (spans[i, 0], spans[i, 1]) if whole else (spans[i, 2], spans[i, 3])
        most += (last - first) // room + 3
    segments = np.zeros((most, SEGMENT), np.int64)
    tiles = np.zeros((most, 3), np.int64)
    n_segments = n_tiles = 0
    for heads in (True, False):
        used = size + 1
        for i in range(spans.shape[0]):
            begin, end = spans[i, 0], spans[i, 1]
            first, last = (begin, end) if whole else (spans[i, 2], spans[i, 3])
            border = min(max(first, begin + back), last)
            if heads:
                last = border
            else:
                first = border
            pieces = (last - first + room - 1) // room
            for k in range(pieces):
                left, right = first + (last - first) * k // pieces, first + (last - first) * (k + 1) // pieces
                length = right - left + back + ahead
                if used + length > size:
                    tiles[n_tiles, 0] = n_segments
                    n_tiles += 1
                    used = 0
                row, stop = max(begin, left - back), min(end, right + ahead)
                before = row - (left - back)
                after = right + ahead - stop
                segments[n_segments, :] = (
                    used,
                    before,
                    row,
                    stop - row,
                    after,
                    used + back,
                    right - left,
                    left - spans[i, 2] + spans[i, 4],
                    left,
                )
                n_segments += 1
                used += length
                tiles[n_tiles - 1, 1] = n_segments
                tiles[n_tiles - 1, 2] = used
    return tiles[:n_tiles], segments[:n_segments]
