"""Cut histories into tiles for the machine."""

from __future__ import annotations

from quant_pipeline.factors.kernels.compiling import entry


@entry
def cut_tiles(spans, back, ahead, size, whole, tiles, segments, counts):
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
        Whether (0 or 1) the known rows are wanted, all of them, at their own place in the columns.
    tiles, segments
        Room for tiles ``(first segment, last segment, rows)`` and segments; see `machine.run_stage`. The first bars of
        a history, whose windows are not full, share tiles of their own.
    counts
        Room for the number of tiles and of segments.
    """
    room = size - back - ahead
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
                segment = segments[n_segments]
                segment[0], segment[1], segment[2], segment[3], segment[4] = used, before, row, stop - row, after
                segment[5], segment[6] = used + back, right - left
                segment[7], segment[8] = left - spans[i, 2] + spans[i, 4], left
                n_segments += 1
                used += length
                tiles[n_tiles - 1, 1] = n_segments
                tiles[n_tiles - 1, 2] = used
    counts[0], counts[1] = n_tiles, n_segments
