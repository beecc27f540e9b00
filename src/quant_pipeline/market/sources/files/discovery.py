"""Which files of a folder hold bars, and which hold something else."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.sources.files.instrument_names import DATA_ENDINGS, PACKED_ENDINGS
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.folder_state import BESIDE, COPY_OF_MACOS, files_of, matching

_NO_DATA = ("readme", "license", "licence", "changelog", "notes", "_success", "_metadata", "_common_metadata")
_OTHER_FORMATS = (
    ".json", ".jsonl", ".ndjson", ".pkl", ".pickle", ".h5", ".hdf", ".hdf5", ".db", ".sqlite", ".sqlite3", ".duckdb",
    ".7z", ".rar", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".ods", ".xls", ".xlsb", ".xlsm", ".arrow", ".orc", ".avro",
    ".npy", ".npz", ".mat", ".rds", ".dta", ".sas7bdat",
)  # fmt: skip
_LITTER = (COPY_OF_MACOS, "~$", ".~", "thumbs.db", "desktop.ini")


@dataclass
class FoundFiles:
    """The files of a folder by what they are for.

    Attributes
    ----------
    bars
        Files that should hold bars.
    benchmark, securities, delistings, renames
        Files with a purpose of their own.
    litter
        Files with the ending of a table that no vendor wrote: copies of macOS, locks of Excel.
    unread
        Names of other files that may hold bars, to why they are not read.
    deeper
        Tables in folders beside the tables of `bars`, of which `unread` has the names.
    """

    bars: list[Path]
    benchmark: Path | None = None
    securities: Path | None = None
    delistings: Path | None = None
    renames: Path | None = None
    litter: list[Path] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    deeper: list[Path] = field(default_factory=list)


def find_files(folder: Path, options: FilesMarketParameters) -> FoundFiles:
    """Find the files of a market.

    Raises
    ------
    MarketDataError
        When the folder does not exist, holds no table, or a named file is not there.
    """
    if not folder.is_dir():
        raise MarketDataError(
            f"the folder of market files {folder} does not exist. Name yours: --params market_folder=path/to/folder"
        )
    named = {name: _named(folder, name, getattr(options, name)) for name in BESIDE}
    benchmark = None
    if options.benchmark is not None and (folder / options.benchmark).is_file():
        benchmark = folder / options.benchmark
    elif options.benchmark is not None and Path(options.benchmark).suffix.lower() in DATA_ENDINGS:
        _named(folder, "benchmark", options.benchmark)
    listed = files_of(folder) if options.bars is None else []
    files = _tables_among(listed, folder) if options.bars is None else _named_tables(folder, options.bars)
    special = {path.resolve() for path in (*named.values(), benchmark) if path is not None}
    litter = [file for file in files if file.name.lower().startswith(_LITTER)]
    # Links cost a look at every folder above the file.
    bars = [file for file in files if file not in litter and not (special and file.resolve() in special)]
    if options.benchmark is None:
        benchmark = next((file for file in bars if "benchmark" in file.stem.lower()), None)
    for name in ("delistings", "renames"):
        if named[name] is None:
            named[name] = next((file for file in bars if file.stem.lower() == name), None)
    bars = [file for file in bars if file not in (benchmark, named["delistings"], named["renames"])]
    if not bars:
        raise MarketDataError(_nothing(folder, options.bars))
    unread = _unread(listed, folder, files)
    others = [folder / name for name in unread if (folder / name).is_file() and not _is_archive(folder / name)]
    deeper = [path for path in others if is_table(path)]
    return FoundFiles(bars, benchmark, **named, litter=litter, unread=unread, deeper=deeper)


def _unread(listed: list[Path], folder: Path, files: list[Path]) -> dict[str, str]:
    """Return files that a user may take for read ones: of other formats, in folders beside tables, broken links."""
    read, found = set(files), {}
    # Most files are read, and what is asked of a path takes longer than to find it.
    for path in (path for path in listed if path not in read):
        inner = path.relative_to(folder)
        if any(part.startswith((".", "_")) for part in inner.parts):
            continue
        if path.is_symlink() and not path.exists():
            found[inner.as_posix()] = "is a link to a file that does not exist"
        elif path.is_file() and _is_archive(path):
            found[inner.as_posix()] = "is an archive beside tables; unpack it if they are not what is in it"
        elif path.is_file() and path.name.lower().endswith(_OTHER_FORMATS):
            found[inner.as_posix()] = f"is of a format that is not read; save it as one of {', '.join(DATA_ENDINGS)}"
        elif path.is_file() and is_table(path):
            found[inner.as_posix()] = 'lies in a folder beside tables; read both with `bars: "**/*.csv"`, or move it'
    return found


def _named(folder: Path, option: str, name: str | None) -> Path | None:
    if name is None:
        return None
    if not (folder / name).is_file():
        raise MarketDataError(
            f"the {option} file {folder / name} does not exist; correct `{option}` of the market source"
        )
    return folder / name


def _named_tables(folder: Path, pattern: str) -> list[Path]:
    files = matching(folder, pattern)
    return [path for path in files if is_table(path)] if (folder / pattern).is_dir() else files


def _tables_among(listed: list[Path], folder: Path) -> list[Path]:
    tables = [path for path in listed if is_table(path) and path.is_file()]
    # Archives lie beside what was taken out of them.
    tables = [path for path in tables if not _is_archive(path)] or tables
    depth = len(folder.parts) + 1
    top: list[Path] = []
    inner: list[Path] = []
    for path in tables:
        (top if len(path.parts) == depth else inner).append(path)
    partitioned = [path for path in inner if any("=" in part for part in path.relative_to(folder).parent.parts)]
    return [*top, *partitioned] if top else inner


def is_table(path: Path) -> bool:
    """Whether the name of a file is one of a table, or of an archive that may hold some."""
    name = path.name.lower()
    if any(part.startswith((".", "_")) for part in path.parts[-2:-1]) or name.startswith(_NO_DATA):
        return False
    if name.startswith((COPY_OF_MACOS, "~$")):
        return True
    if _is_archive(path):
        return not name.startswith(".")
    for packed in PACKED_ENDINGS:
        name = name.removesuffix(packed)
    return not name.startswith(".") and name.endswith(DATA_ENDINGS)


def _is_archive(path: Path) -> bool:
    """Whether a file is a zip whose name does not say that a table is in it."""
    name = path.name.lower()
    return name.endswith(".zip") and not name.removesuffix(".zip").endswith(DATA_ENDINGS)


def _nothing(folder: Path, pattern: str | None) -> str:
    endings = Counter(path.suffix or path.name for path in folder.rglob("*") if path.is_file())
    has = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(6)) or "no file"
    if pattern is not None:
        return f"no file in {folder} matches `bars: {pattern}` of the market source; the folder has {has}"
    read = f"{', '.join(DATA_ENDINGS)}; packed: {', '.join(PACKED_ENDINGS)}"
    return f"no table in {folder} ({read}); the folder has {has}"
