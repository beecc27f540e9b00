"""What a folder of market files would be read as, without reading it into the project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.listing import first_of, say_first
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.quality import QualityParameters, check_bars
from quant_pipeline.market.sources.files.kept_observation import observe_at_rest
from quant_pipeline.market.sources.files.layouts import ALL, NONE, SPLITS
from quant_pipeline.market.sources.files.observation import DAILY, Observation
from quant_pipeline.market.sources.files.options import AUTO, FilesMarketParameters
from quant_pipeline.market.sources.files.reading import LATEST, market_at
from quant_pipeline.market.sources.files.recognition import layout_of

_ADJUSTED = {
    NONE: "as traded",
    SPLITS: "adjusted for splits, restored to what was traded where splits are listed",
    ALL: "adjusted for splits and dividends; restored to what was traded where they are listed, else total returns",
}


class CheckedFolder:
    """The result of a check.

    Parameters
    ----------
    seen
        What was read.
    summary
        The same as numbers, see `summary`.
    """

    def __init__(self, seen: Observation, summary: dict[str, Any]) -> None:
        self.seen = seen
        self.summary = summary

    @property
    def ok(self) -> bool:
        """Whether the folder can be read."""
        return bool(self.summary["ok"])


def check_folder(folder: Path, options: FilesMarketParameters, quality: QualityParameters) -> CheckedFolder:
    """Read a folder of market files and say what was found; nothing is written.

    Parameters
    ----------
    folder
        Where the files lie.
    options
        As of the source ``files``.
    quality
        Thresholds of the checks of bars.

    Returns
    -------
    CheckedFolder
        With a summary: ``ok``; ``layouts``, file to layout; ``instruments``, ``rows``, ``first``, ``last`` of what is
        read; ``actions`` and ``findings`` by kind with their counts; ``problems``, and ``errors`` among the findings,
        one line each.
    """
    summary: dict[str, Any] = {
        "ok": False, "layouts": {}, "instruments": 0, "rows": 0, "first": None, "last": None,
        "actions": {}, "problems": [], "findings": {}, "errors": [],
    }  # fmt: skip
    try:
        seen = observe_at_rest(folder, options, None)
    except MarketDataError as error:
        return CheckedFolder(Observation(), summary | {"problems": [" ".join(str(error).split())]})
    problems: list[SourceProblem | str] = list(seen.problems)
    refused = seen.is_refused
    findings, actions = seen.findings, seen.delistings
    if len(seen.rows):
        try:
            market = market_at(seen, LATEST)
        except MarketDataError as error:
            problems.append(str(error))
            refused = True
        else:
            actions, findings = market.corporate_actions, market.findings
            if seen.frequency == DAILY:
                first, last = seen.rows["date"].min(), seen.rows["date"].max()
                sessions = TradingCalendar.within_bounds(seen.calendar, first, last).sessions
                findings = pd.concat([findings, check_bars(market.bars, actions, sessions, quality)])
        summary |= {
            "instruments": int(seen.rows["instrument"].nunique()),
            "rows": len(seen.rows),
            "first": f"{seen.rows['date'].min():%Y-%m-%d}",
            "last": f"{seen.rows['date'].max():%Y-%m-%d}",
        }
    summary |= {
        "ok": not refused,
        "layouts": seen.layouts,
        "actions": _counts(actions, "kind"),
        "problems": [str(problem) for problem in problems],
        "findings": _counts(findings, "check"),
        "errors": [_described(row) for row in findings[findings["severity"] == "error"].to_dict("records")],
    }
    return CheckedFolder(seen, summary)


def _described(finding: dict[Hashable, Any]) -> str:
    """Write a finding as a line: which check, of what, and what it found."""
    day = finding["date"]
    of = [str(finding["instrument"]), "" if pd.isna(day) else f"{day:%Y-%m-%d}"]
    return f"{finding['check']}: {' '.join(filter(None, [*of, str(finding['detail'])]))}"


def _counts(table: pd.DataFrame, column: str) -> dict[str, int]:
    return dict(sorted(Counter(table[column]).items())) if len(table) else {}


def describe_check(checked: CheckedFolder, options: FilesMarketParameters) -> list[str]:
    """Return the result of a check as lines for a terminal."""
    seen, summary = checked.seen, checked.summary
    lines = ["no bars"]
    if summary["rows"]:
        lines = [
            f"{summary['instruments']} instruments, {summary['rows']} bars from {summary['first']} to "
            f"{summary['last']}",
            f"calendar {seen.calendar}{' (recognised)' if options.calendar == AUTO else ''}, {seen.frequency} bars",
        ]
    for layout, files in sorted(_by_layout(seen.layouts).items()):
        adjusted = _ADJUSTED[seen.adjusted.get(files[0], NONE)]
        named = first_of(files, whole="--json", limit=5)
        lines += [f"layout {layout} ({layout_of(layout).title}): {named}", f"  prices {adjusted}"]
    for kind in ("actions", "findings"):
        if summary[kind]:
            lines.append(f"{kind}: " + ", ".join(f"{count} {name}" for name, count in summary[kind].items()))
    if summary["errors"]:
        lines.append("findings that are errors:")
        say_first(lambda line: lines.append(f"  {line}"), summary["errors"], whole="--json")
    if summary["problems"]:
        lines.append("problems:" if not checked.ok else "left out:")
        lines += [f"  {problem}" for problem in summary["problems"]]
    if not checked.ok and seen.problems and summary["rows"] and not seen.is_blocked:
        lines += ["", "To read all the rest, put this into `parameters` of market_source (conf/files/catalog.yml):"]
        lines += [f"  {line}" for line in yaml.safe_dump(_advice(seen), sort_keys=False).splitlines()]
    lines.append("can be read" if checked.ok else "cannot be read")
    return lines


def _by_layout(layouts: dict[str, str]) -> dict[str, list[str]]:
    files: dict[str, list[str]] = {}
    for file, layout in layouts.items():
        files.setdefault(layout, []).append(file)
    return files


def _advice(seen: Observation) -> dict[str, Any]:
    """Return options that leave out what is wrong: few instruments by name, else everything."""
    named = sorted({problem.instrument for problem in seen.problems if problem.instrument})
    if named and len(named) <= 5 and all(problem.instrument for problem in seen.problems):
        return {"exclude": [{"instrument": name} for name in named]}
    return {"on_problem": "leave_out"}
