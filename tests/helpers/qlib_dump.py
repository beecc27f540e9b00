"""A provider of Qlib as its own tools make it: prices adjusted as its Yahoo collector does, files as its dump writes.

Written from ``scripts/data_collector/yahoo/collector.py`` (``normalize``, ``adjusted_price``, ``_manual_adj_data``) and
``scripts/dump_bin.py`` (``DumpDataAll``) of Qlib 0.9.7, and apart from `quant_pipeline.market.qlib_provider`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import exchange_calendars
import numpy as np
import pandas as pd

PRICES = ["open", "high", "low", "close"]


@dataclass
class Traded:
    """What one share did: bars as traded, and by date the ratio of a split and the cash of a dividend."""

    bars: pd.DataFrame
    splits: dict[str, float]
    dividends: dict[str, float]


def adjust_as_yahoo(traded: Traded, sessions: pd.DatetimeIndex) -> pd.DataFrame:
    """Adjust backward, then divide by the first close; sessions without a bar are missing numbers."""
    bars = traded.bars.set_index("date")
    steps = pd.Series(1.0, index=bars.index)
    before = bars["close"].shift()
    for day, ratio in traded.splits.items():
        steps[day] *= ratio
    for day, cash in traded.dividends.items():
        # A holder of one old share is paid for the new ones: cash is per new share.
        steps[day] *= 1 / (1 - cash * traded.splits.get(day, 1.0) / before[day])
    factor = steps.cumprod() / steps.prod()
    adjusted = bars[PRICES].mul(factor, axis=0)
    first = adjusted["close"].iloc[0]
    table = adjusted.div(first)
    table["volume"] = bars["volume"] / factor * first
    table["factor"] = factor / first
    table["change"] = table["close"].pct_change()
    return table.reindex(sessions[(sessions >= bars.index[0]) & (sessions <= bars.index[-1])])


def dump(folder: Path, tables: dict[str, pd.DataFrame], sessions: pd.DatetimeIndex) -> None:
    """Write calendar, ``all.txt`` and features, as ``dump_bin.py dump_all`` does."""
    for name in ("calendars", "instruments", "features"):
        (folder / name).mkdir(parents=True)
    np.savetxt(folder / "calendars/day.txt", [f"{day:%Y-%m-%d}" for day in sessions], fmt="%s", encoding="utf-8")
    days = list(sessions)
    lines = []
    for name, table in tables.items():
        lines.append(f"{name.upper()}\t{table.index[0]:%Y-%m-%d}\t{table.index[-1]:%Y-%m-%d}")
        inner = folder / "features" / name.lower()
        inner.mkdir()
        for field in table.columns:
            first = days.index(table.index[0])
            np.hstack([first, table[field]]).astype("<f").tofile(str(inner / f"{field.lower()}.day.bin"))
    np.savetxt(folder / "instruments/all.txt", lines, fmt="%s", encoding="utf-8")


def write_universe(folder: Path, name: str, ranges: list[tuple[str, str, str]]) -> None:
    """Write a named universe; Qlib's collectors of indices write several lines for names that left and came back."""
    (folder / "instruments" / f"{name}.txt").write_text("".join(f"{a}\t{b}\t{c}\n" for a, b, c in ranges))


def random_share(
    rng: np.random.Generator, sessions: pd.DatetimeIndex, price: float, tick: float = 0.01
) -> pd.DataFrame:
    """Draw bars as traded, on ticks."""
    closes = price * np.exp(np.cumsum(rng.normal(0, 0.015, len(sessions))))
    opens = np.append(closes[0], closes[:-1]) * np.exp(rng.normal(0, 0.003, len(sessions)))
    top, bottom = np.maximum(opens, closes), np.minimum(opens, closes)
    high, low = top * (1 + rng.uniform(0, 0.01, len(closes))), bottom * (1 - rng.uniform(0, 0.01, len(closes)))
    table = pd.DataFrame({"date": sessions, "open": opens, "high": high, "low": low, "close": closes})
    digits = round(-np.log10(tick))
    table[PRICES] = table[PRICES].round(digits)
    table["high"], table["low"] = table[["high", *PRICES]].max(axis=1), table[["low", *PRICES]].min(axis=1)
    return table.assign(volume=rng.integers(1_000, 90_000, len(sessions)) * 100.0)


def with_split(bars: pd.DataFrame, day: str, ratio: float) -> pd.DataFrame:
    """Return bars as traded of a share that was split: lower prices from a day on."""
    table = bars.copy()
    after = table["date"] >= day
    table.loc[after, PRICES] = (table.loc[after, PRICES] / ratio).round(2)
    table["high"], table["low"] = table[PRICES].max(axis=1), table[PRICES].min(axis=1)
    return table


@dataclass
class ChineseProvider:
    """A small A-share provider, and what truly happened."""

    folder: Path
    sessions: pd.DatetimeIndex
    traded: dict[str, Traded]
    tables: dict[str, pd.DataFrame]


def chinese_provider(folder: Path, start: str = "2018-01-02", end: str = "2019-12-31") -> ChineseProvider:
    """Write eight shares and the CSI 300: a dividend, a split, a suspension, a listing that begins, one that ends."""
    calendar = exchange_calendars.get_calendar("XSHG", start="2015-01-05", end="2022-12-30")
    sessions = calendar.sessions_in_range(start, end).as_unit("ns")
    rng = np.random.default_rng(11)
    names = {"SH600000": 12.0, "SH600519": 700.0, "SH601398": 6.0, "SZ000001": 13.5, "SZ002415": 38.0, "SZ300750": 80.0,
             "SH688111": 140.0, "SH600087": 3.2}  # fmt: skip
    traded = {name: Traded(random_share(rng, sessions, price), {}, {}) for name, price in names.items()}
    traded["SH600000"].dividends["2018-07-13"] = 0.35
    share = traded["SZ002415"]
    share.bars = with_split(share.bars, "2019-05-15", 1.5)
    share.splits["2019-05-15"], share.dividends["2019-05-15"] = 1.5, 0.4
    share = traded["SZ300750"]
    halted = share.bars["date"].between("2019-03-04", "2019-03-22")
    share.bars = share.bars[~halted].reset_index(drop=True)
    share = traded["SH600087"]
    share.bars = share.bars[share.bars["date"] <= "2019-06-05"].reset_index(drop=True)
    share = traded["SH688111"]
    share.bars = share.bars[share.bars["date"] >= "2019-07-22"].reset_index(drop=True)
    traded["SH000300"] = Traded(random_share(rng, sessions, 4000.0), {}, {})
    tables = {name: adjust_as_yahoo(each, sessions) for name, each in traded.items()}
    dump(folder, tables, sessions)
    first, last = f"{sessions[0]:%Y-%m-%d}", f"{sessions[-1]:%Y-%m-%d}"
    write_universe(
        folder, "csi300",
        [("SH600000", first, last), ("SH600519", first, "2018-12-14"), ("SH600519", "2019-06-17", "2099-12-31"),
         ("SZ000001", first, last), ("SZ300750", "2018-06-11", last), ("SH600087", first, "2019-06-05"),
         ("SH601989", first, last)],
    )  # fmt: skip
    (folder / "calendars/day_future.txt").write_text(
        (folder / "calendars/day.txt").read_text() + "2020-01-02\n2020-01-03\n"
    )
    return ChineseProvider(folder, sessions, traded, tables)
