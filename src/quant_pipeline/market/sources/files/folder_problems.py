"""What only all files of a folder together show: actions that nothing uses, or that some lack; several currencies."""

from __future__ import annotations

from pathlib import Path

from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.sources.files.draft import Draft
from quant_pipeline.market.sources.files.file_reading import Reading
from quant_pipeline.market.sources.files.layouts import ALL, SPLITS
from quant_pipeline.market.sources.files.recognition import holds_actions, several_currencies


def refuse_unused_actions(readings: list[Reading]) -> None:
    """Refuse files of splits, dividends or factors beside the bars: left out, they would change returns."""
    if all(reading.broken is not None for reading in readings):
        # There are no bars to be beside of: the file may hold them, under names that are not known.
        return
    for reading in readings:
        if reading.broken is None or not reading.header or {"open", "high", "low"} & set(reading.fields):
            continue
        if holds_actions(Path(reading.file).stem, reading.header):
            what = (
                "may hold splits, dividends or factors of adjustment, and would not be used; put them into columns "
                "`split` and `dividend` of the bars, or name the bars alone with `bars`, such as `bars: prices/*.csv`"
            )
            reading.problems.append(SourceProblem(reading.file, None, None, what))
            reading.broken, reading.is_blocking = None, True


def refuse_currencies(readings: list[Reading]) -> None:
    """Refuse files whose prices are of different currencies."""
    stated = {reading.currency[1] for reading in readings} - {""}
    if len(stated) > 1:
        first = next(reading for reading in readings if reading.currency[1])
        others = f"together with the other files, {several_currencies(stated, first.currency[0])}"
        first.problems.append(SourceProblem(first.file, None, None, others, len(readings)))
        first.is_blocking = True


def note_lacking_actions(draft: Draft, readings: list[Reading]) -> None:
    """Note files without a column of splits or dividends where others of the folder have one that states some.

    Prices that are adjusted for them need none, and an adjusted or a previous close stands in for both.
    """
    for name, none, enough in (("dividend", 0.0, (ALL,)), ("split", 1.0, (ALL, SPLITS))):
        if not any(reading.states(name, none) for reading in readings):
            continue
        stating = next(reading for reading in readings if name in reading.columns)
        for reading in readings:
            if reading.held is None or name in reading.columns or reading.adjusted in enough:
                continue
            if not {"vendor_adjusted_close", "previous_close"} & reading.columns:
                draft.note_file(
                    reading.file, "no_actions",
                    f"has no column of {name}s, and {stating.file} has one: those of this file are unknown and "
                    "count as none; export it as the other files, or leave it out with `exclude`", severity="error",
                )  # fmt: skip


def note_adjusted_names(draft: Draft, readings: list[Reading]) -> None:
    """Note files whose names say that their prices are adjusted: they are no prices as traded."""
    for reading in readings:
        adjusted, word = reading.named
        if adjusted and reading.held is not None:
            draft.note_file(
                reading.file, "adjusted_by_name",
                f"its name or title says {word}: read as {adjusted.replace('_', ' ')} adjusted, not as traded; limits, "
                "lots and fees of an account count on prices as traded: export those, or set `adjusted`",
            )  # fmt: skip
