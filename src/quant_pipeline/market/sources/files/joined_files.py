"""Files of one instrument that follow one another: adjusted prices fit only where they were exported together."""

from __future__ import annotations

import numpy as np
import pandas as pd

from quant_pipeline.market.instrument_rows import number_instruments
from quant_pipeline.market.sources.files.derived_actions import adjusted_ratio, rounding_of_steps
from quant_pipeline.market.sources.files.draft import Draft
from quant_pipeline.market.sources.files.layouts import ALL, NONE, SPLITS

_SMALLEST_SPLIT = 0.2
"""Logarithm of the smallest split ratio whose traces in prices can be seen beside a session's move."""
_JUMP = 0.35
"""Logarithm of a move between two files, of prices adjusted for splits that are not stated, that may be a split."""
_TOGETHER = "export the whole span at once, or state `exported_together: true` where one export made both files"


def check_joined_files(draft: Draft, exported_together: bool) -> None:
    """Refuse files of one instrument that may not have been exported together: an earlier one knows no later action.

    The rows are sorted by instrument and date; prices are as in the files. Files with equal rows in common were.

    Parameters
    ----------
    draft
        The market.
    exported_together
        Whether the user says so; contradictions are refused all the same.
    """
    rows = draft.rows
    files, codes = rows["file"].to_numpy(), number_instruments(rows)[0]
    joints = np.flatnonzero(files[1:] != files[:-1]) + 1
    joints = joints[codes[joints] == codes[joints - 1]]
    if not len(joints):
        return
    faults = _contradicted(rows, joints)
    if not exported_together:
        doubtful = ((rows["adjusted"] != NONE) | rows["derived"].astype(bool)).to_numpy()
        unsure = joints[doubtful[joints]]
        if draft.same_in_files:
            unsure = unsure[[not _share_rows(draft, int(place)) for place in unsure]]
        faults = _unsure(rows, unsure) | faults
    mask = np.zeros(len(rows), dtype=bool)
    seen: set[str] = set()
    for place in sorted(faults):
        name = rows["instrument"].iloc[place]
        mask[place] = name not in seen
        seen.add(name)
    draft.refuse_rows(mask, [faults[int(place)] for place in np.flatnonzero(mask)], whole_instrument=True)


def _by_adjusted_close(rows: pd.DataFrame) -> pd.Series:
    """Return which rows' actions are derived from an adjusted close of the vendor; returns stand for themselves."""
    by_return = rows["total_return"].notna().groupby(rows["instrument"], sort=False).transform("any")
    return rows["derived"].astype(bool) & ~by_return


def _share_rows(draft: Draft, place: int) -> bool:
    name, files = draft.rows["instrument"].iloc[place], draft.rows["file"].iloc[[place - 1, place]]
    return not draft.same_in_files.isdisjoint({(name, *files), (name, *files[::-1])})


def _contradicted(rows: pd.DataFrame, joints: np.ndarray) -> dict[int, str]:
    """Return joints at which prices show that the files do not fit, and why."""
    later = rows[::-1].groupby("instrument", sort=False)["split"].cumprod()[::-1].to_numpy()
    close = rows["close"].to_numpy()
    size, move = np.log(later[joints]), np.log(close[joints] / close[joints - 1])
    adjusted = (rows["adjusted"] != NONE).to_numpy()[joints]
    unstated = adjusted & (np.abs(size) > _SMALLEST_SPLIT) & (np.abs(move + size) < 0.5 * np.abs(size))
    split = "the bars before, of another file, are not restated for the later splits, as these are: the files were not "
    found = dict.fromkeys(joints[unstated].tolist(), f"{split}exported together; export the whole span at once")
    if not rows["derived"].any():
        return found
    ratio, noise = adjusted_ratio(rows).to_numpy(), rounding_of_steps(rows)
    one = np.abs(ratio[joints - 1] - 1) <= noise[joints - 1]
    falls = (ratio[joints] < ratio[joints - 1] * (1 - noise[joints])) | (np.abs(ratio[joints] - 1) > noise[joints])
    apart = _by_adjusted_close(rows).to_numpy()[joints] & one & falls
    what = (
        "the adjusted closes before, of another file, end at the close, as if no split or dividend came later: the "
        "files were not exported together; export the whole span at once"
    )
    return found | dict.fromkeys(joints[apart].tolist(), what)


def _unsure(rows: pd.DataFrame, joints: np.ndarray) -> dict[int, str]:
    """Return joints of adjusted prices at which later actions may be missing before, and which ones."""
    if not len(joints):
        return {}
    adjusted = rows["adjusted"].to_numpy()[joints]
    paid = (rows[::-1].groupby("instrument", sort=False)["dividend"].cumsum()[::-1] > 0).to_numpy()[joints]
    stated = ~rows["no_dividend"].to_numpy(dtype=bool)[joints]
    total = (adjusted == ALL) & (paid | ~stated)
    what = (
        "its bars before are of another file, and nothing shows that both are adjusted for the same dividends; "
        f"{_TOGETHER}"
    )
    found = dict.fromkeys(joints[total].tolist(), what) | _of_the_day(rows, joints)
    close = rows["close"].to_numpy()
    jump = np.abs(np.log(close[joints] / close[joints - 1])) > _JUMP
    split = (adjusted == SPLITS) & rows["no_split"].to_numpy(dtype=bool)[joints] & jump
    moved = (
        "the close moves by more than 40 % from one file to the next, as after a split between two exports; "
        f"{_TOGETHER}"
    )
    return found | dict.fromkeys(joints[split].tolist(), moved)


def _of_the_day(rows: pd.DataFrame, joints: np.ndarray) -> dict[int, str]:
    """Return joints of files of one day each, in all of which the adjusted close is the close, as on its own day."""
    own = rows[_by_adjusted_close(rows) & rows["vendor_adjusted_close"].notna()]
    days = own.groupby(["file", "instrument"])["date"].nunique()
    if own.empty or days.max() > 1 or not (own["vendor_adjusted_close"] == own["close"]).all():
        return {}
    what = f"files of one day each, in which the adjusted close is the close, state no split or dividend; {_TOGETHER}"
    return dict.fromkeys(joints[rows["derived"].to_numpy(dtype=bool)[joints]].tolist(), what)
