"""A market that is being read: its rows, and what was noted on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.cores import map_on_cores, usable_cores
from quant_pipeline.common.row_blocks import row_blocks
from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.instrument_rows import number_instruments
from quant_pipeline.market.quality import COLUMNS, no_findings

PRICES = ("open", "high", "low", "close")
KEY = ["instrument", "date"]


@dataclass
class Draft:
    """Rows of all files, and what is left out or wrong.

    Attributes
    ----------
    rows
        ``file`` (its place in `files`), ``line``, ``date``, ``instrument``, prices, ``dividend``, ``split`` …
    files
        Names of the files.
    leave_out
        Whether rows with problems are left out instead of refusing the market.
    problems
        What is wrong.
    findings
        Tables in the columns of `quality.COLUMNS`.
    same_in_files
        Instrument and places of two files that have rows in common: they were exported together.
    is_blocked
        Whether a problem remains whatever is left out: of the whole market, or of an option that is missing.
    """

    rows: pd.DataFrame
    files: list[str]
    leave_out: bool = False
    problems: list[SourceProblem] = field(default_factory=list)
    findings: list[pd.DataFrame] = field(default_factory=list)
    same_in_files: set[tuple[str, int, int]] = field(default_factory=set)
    is_blocked: bool = False

    def goes_on(self) -> npt.NDArray[np.bool_]:
        """Return which rows are of the instrument of the row before."""
        codes, _ = number_instruments(self.rows)
        again = np.zeros(len(codes), dtype=bool)
        np.equal(codes[1:], codes[:-1], out=again[1:])
        return again

    def note(
        self, rows: pd.DataFrame, check: str, detail: object, severity: str = "warning", value: object = np.nan
    ) -> None:
        """Note a finding for each of some rows."""
        if len(rows):
            columns = {"check": check, "severity": severity, "value": value, "detail": detail}
            self.findings.append(rows[["instrument", "date"]].assign(**columns)[COLUMNS])

    def note_instruments(self, names: Sequence[str], check: str, detail: str) -> None:
        """Note a finding about each of many instruments."""
        row = {"date": pd.NaT, "check": check, "severity": "warning", "value": np.nan, "detail": detail}
        self.findings.append(pd.DataFrame([{"instrument": name} | row for name in names])[COLUMNS])

    def note_file(self, file: str, check: str, detail: str, severity: str = "warning") -> None:
        """Note a finding about a whole file."""
        row = {"instrument": "", "date": pd.NaT, "check": check, "severity": severity, "value": np.nan}
        self.findings.append(pd.DataFrame([row | {"detail": f"{file}: {detail}"}])[COLUMNS])

    def drop(self, which: pd.Series | np.ndarray) -> None:
        """Leave rows out."""
        self.rows = self.rows[~np.asarray(which, dtype=bool)].reset_index(drop=True)

    def leave_out_rows(self, which: pd.Series | np.ndarray, check: str, detail: object) -> None:
        """Leave rows out and note each of them; their splits and dividends count on the next bar."""
        which = np.asarray(which, dtype=bool)
        if which.any():
            self.carry_actions(which)
            self.note(self.rows[which], check, detail)
            self.drop(which)

    def carry_actions(self, leaving: np.ndarray) -> None:
        """Let splits and dividends of rows that leave count on the next bar of the instrument.

        Those before the first bar that stays explain no return and leave with their rows.
        """
        rows = self.rows
        if not leaving.any() or not {"dividend", "split", "bad_action"} <= set(rows.columns):
            return
        acts = (rows["dividend"] > 0) | (rows["split"].notna() & (rows["split"] != 1.0))
        acting = leaving & acts.to_numpy() & rows["date"].notna().to_numpy() & ~rows["bad_action"].to_numpy(dtype=bool)
        if not acting.any():
            return
        by = {"on": "date", "by": "instrument"}
        staying = rows.loc[~leaving & rows["date"].notna(), KEY].drop_duplicates().sort_values("date", kind="stable")
        stated = rows.loc[acting, [*KEY, "dividend", "split"]].drop_duplicates().sort_values("date", kind="stable")
        following = pd.merge_asof(stated, staying.assign(next=staying["date"]), direction="forward", **by)
        before = pd.merge_asof(stated, staying.assign(last=staying["date"]), allow_exact_matches=False, **by)["last"]
        rows.loc[acting, "dividend"], rows.loc[acting, "split"] = 0.0, 1.0
        moved = following[following["next"].notna() & before.notna()]
        self.note(moved, "moved_action", "a split or dividend without a bar counts on the next one")
        places = pd.MultiIndex.from_frame(rows.loc[~leaving, KEY])
        for row in moved.itertuples():
            there = rows.index[~leaving][(places == (row.instrument, row.next))]
            if "moment" in rows:
                there = there[rows.loc[there, "moment"] == rows.loc[there, "moment"].min()]
            rows.loc[there, "dividend"] += row.dividend
            rows.loc[there, "split"] *= row.split

    def refuse_market(self, problem: SourceProblem) -> None:
        """Report what no leaving out of rows or instruments mends."""
        self.problems.append(problem)
        self.is_blocked = True

    def refuse_rows(self, which: pd.Series | np.ndarray, what: object, whole_instrument: bool = False) -> None:
        """Report rows that are wrong, one problem for each file and instrument; leave them out where that is wanted.

        Parameters
        ----------
        which
            Rows that are wrong.
        what
            What is wrong, one text or one per wrong row.
        whole_instrument
            Whether a row alone cannot be left out without changing returns.
        """
        which = np.asarray(which, dtype=bool)
        if not which.any():
            return
        wrong = self.rows[which].assign(what=what)
        for _, group in wrong.groupby(["file", "instrument"], sort=False):
            first, count = group.iloc[0], len(group)
            more = "" if count == 1 else f" (and {count - 1} more rows)"
            self.problems.append(
                SourceProblem(
                    self.files[first["file"]], int(first["line"]), first["instrument"], f"{first['what']}{more}", count
                )
            )
        if self.leave_out and whole_instrument:
            self.leave_out_instruments(which)
        elif self.leave_out:
            self.carry_actions(which)
            self.note(self.rows[which], "row_left_out", "left out by `on_problem: leave_out`", "error")
            self.drop(which)

    def leave_out_instruments(self, which: pd.Series | np.ndarray) -> None:
        """Leave out the instruments of some rows, and note each of them."""
        named = self.rows.loc[np.asarray(which, dtype=bool), "instrument"]
        which = self.rows["instrument"].isin(named).to_numpy()
        left = self.rows[which].groupby("instrument", sort=False)[["instrument", "date"]].head(1)
        self.note(left, "instrument_left_out", "left out by `on_problem: leave_out`", "error")
        self.drop(which)

    def all_findings(self) -> pd.DataFrame:
        """Return every finding in one table."""
        if not self.findings:
            return no_findings()
        parts = [part.astype({"value": "float64", "detail": "str", "instrument": "str"}) for part in self.findings]
        table = pd.concat(
            [part.assign(date=part["date"].astype("datetime64[ns]")) for part in parts], ignore_index=True
        )
        return table.astype({"check": "str", "severity": "str"})


def rows_where(n_rows: int, test: Callable[[slice], npt.NDArray[np.bool_]]) -> npt.NDArray[np.bool_]:
    """Return of which rows a test holds, block by block on all cores: the cache of a core holds what a block needs.

    Parameters
    ----------
    n_rows
        How many rows there are.
    test
        Of some of the rows, by NumPy alone.
    """
    found = np.empty(n_rows, dtype=bool)
    blocks = list(row_blocks(n_rows))
    cores = usable_cores()

    def look_at(own: Iterable[slice]) -> None:
        for block in own:
            found[block] = test(block)

    # Handing each block to a thread takes as long as a test.
    map_on_cores(look_at, [blocks[core::cores] for core in range(cores)] if len(blocks) > 1 else [blocks])
    return found


def all_of(conditions: Iterable[npt.NDArray[np.bool_]]) -> npt.NDArray[np.bool_]:
    """Return the rows of which all conditions hold; those after none holds any more are not computed."""
    found: npt.NDArray[np.bool_] | None = None
    for condition in conditions:
        found = condition if found is None else found & condition
        if not found.any():
            break
    assert found is not None
    return found
