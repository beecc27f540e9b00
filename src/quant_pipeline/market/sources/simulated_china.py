"""The embedded Chinese market: simulated A-shares of all boards of Shanghai and Shenzhen, within their price limits.

Codes, names and returns are invented: ``600519.SH`` of this market has nothing to do with the share that has the code.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, NonNegativeFloat

from quant_pipeline.common.parameters import Parameters
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.chinese_boards import (
    MAIN_BOARDS,
    PRICE_LIMITS,
    SPECIAL_TREATMENT_ENDS,
    SPECIAL_TREATMENT_LIMIT,
    STAR,
)
from quant_pipeline.market.chinese_codes import chinese_code
from quant_pipeline.market.sources.simulated import (
    WARM_UP,
    SimulatedMarket,
    SimulatedMarketParameters,
    assemble_market,
    draw_returns,
)
from quant_pipeline.market.sources.simulated_bars import (
    Life,
    PriceHabits,
    TradedBars,
    TradedPrices,
    draw_halts,
    live_and_die,
    shape_bars,
    shape_endings,
    trade_prices,
)
from quant_pipeline.market.sources.simulated_names import SECTORS

MEAN_HALT = 6.0
"""Sessions of a suspension on average."""
SEALED = 0.35
"""Part of the sessions that close at a limit which trade at nothing else from the open on."""
STAR_OPENS = pd.Timestamp("2019-07-22")

_HABITS = PriceHabits(usual=16.0, split_above=120.0, reverse_split_below=0.0)
_BOARDS = (("60", "SH", 2000, 0.38), ("000", "SZ", 900, 0.27), ("30", "SZ", 1000, 0.22), ("688", "SH", 600, 0.13))
"""First digits, exchange, codes to choose from, and share of the instruments of every board."""
_PLACES = "华东江海中天长新宏金兴泰安康恒瑞"
_KINDS = "岳川源峰林河辰阳州宇光城"
_BUSINESS = {
    "Technology": ("科技", "软件", "电子"),
    "Financials": ("银行", "证券", "保险"),
    "Health Care": ("医药", "生物", "制药"),
    "Industrials": ("机械", "物流", "重工"),
    "Consumer": ("食品", "百货", "酒业"),
    "Energy": ("石油", "能源", "煤业"),
    "Utilities": ("电力", "水务", "燃气"),
    "Materials": ("化工", "矿业", "纸业"),
}


class SpecialTreatment(Parameters):
    """A share under special treatment (ST) for a time.

    Attributes
    ----------
    prefix
        Its whole code, as price limits spell it (``SH600001``).
    limit
        Its daily limit.
    since, until
        First day, and first day without.
    """

    prefix: str
    limit: float = SPECIAL_TREATMENT_LIMIT
    since: dt.date
    until: dt.date | None = None


class SimulatedChinaParameters(SimulatedMarketParameters):
    """Parameters of the embedded Chinese market: those of the US one, with other defaults, and shares under ST.

    Attributes
    ----------
    special_treatment
        Shares under special treatment, in the form of ``market_rules.special_limits``.
    """

    seed: int = 5
    n_instruments: int = Field(default=120, ge=1)
    market_volatility: float = Field(default=0.22, gt=0)
    halt_rate: float = Field(default=0.0006, ge=0, lt=0.1)
    ended_per_year: NonNegativeFloat = 0.008
    special_treatment: tuple[SpecialTreatment, ...] = ()


def generate_chinese_market(parameters: SimulatedChinaParameters | None = None) -> SimulatedMarket:
    """Generate the whole market; see `~quant_pipeline.market.sources.simulated.generate_market`.

    No bar lies beyond the limits that its board had on its day; what a return would have moved beyond is lost. While a
    share is suspended its price waits.
    """
    parameters = parameters or SimulatedChinaParameters()
    sessions = TradingCalendar.of("XSHG", parameters.start, parameters.end).sessions
    rng = np.random.default_rng(parameters.seed)
    n_sessions, n = len(sessions) + WARM_UP, parameters.n_instruments
    sector = rng.integers(len(SECTORS), size=n)
    instruments = _name(rng, sector)
    codes = [chinese_code(name) for name in instruments["instrument"]]
    returns = draw_returns(rng, n_sessions, sector, parameters)
    life = live_and_die(rng, n_sessions, n, WARM_UP, parameters.listed_late, parameters.ended_per_year)
    life = _list_star_late(life, codes, sessions)
    halted = draw_halts(rng, (n_sessions, n), parameters.halt_rate, MEAN_HALT)
    total = np.where(halted, 0.0, shape_endings(rng, returns.total, life))
    limits = _limits(codes, sessions, life, parameters.special_treatment)
    prices = trade_prices(rng, total, life, _HABITS, limits)
    traded = _seal(rng, prices, shape_bars(rng, returns, prices, life, parameters.halt_rate, halted))
    return assemble_market(rng, sessions, instruments, life, total, prices, traded)


def _name(rng: np.random.Generator, sector: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Invent a code of a board and a company for every instrument."""
    shares = np.array([share for *_, share in _BOARDS])
    boards = rng.choice(len(_BOARDS), size=len(sector), p=shares / shares.sum())
    codes: list[str] = []
    for board in boards:
        digits, exchange, room, _ = _BOARDS[board]
        while True:
            code = f"{digits}{rng.integers(room):0{6 - len(digits)}d}.{exchange}"
            if code not in codes:
                break
        codes.append(code)
    names = [
        rng.choice(list(_PLACES)) + rng.choice(list(_KINDS)) + rng.choice(_BUSINESS[SECTORS[index]]) for index in sector
    ]
    sectors = [SECTORS[index] for index in sector]
    return pd.DataFrame({"instrument": codes, "name": names, "sector": sectors}, dtype="str")


def _list_star_late(life: Life, codes: list[str], sessions: pd.DatetimeIndex) -> Life:
    """Let no share of STAR trade before the board opened."""
    opens = WARM_UP + int(sessions.searchsorted(STAR_OPENS))
    is_star = np.array([code.startswith(STAR) for code in codes])
    first = np.where(is_star, np.maximum(life.first, min(opens, len(sessions) + WARM_UP - 1)), life.first)
    gone = life.last < first + 130
    last = np.where(gone, len(sessions) + WARM_UP - 1, life.last)
    return Life(first, last, np.where(gone, "", life.ending).astype(object))


def _limits(
    codes: list[str], sessions: pd.DatetimeIndex, life: Life, special: tuple[SpecialTreatment, ...]
) -> npt.NDArray[np.int64]:
    """Largest moves in basis points, sessions with the warm-up × instruments; 0 where there is no limit."""
    moves = np.zeros((len(sessions) + WARM_UP, len(codes)), dtype=np.int64)
    for column, code in enumerate(codes):
        rows = [row for row in PRICE_LIMITS if code.startswith(row[0])]
        free = 1
        for _, since, limit, free_sessions in rows:
            begins = WARM_UP + int(sessions.searchsorted(pd.Timestamp(since)))
            moves[begins if begins > WARM_UP else 0 :, column] = round((limit or 0.0) * 10_000)
            free = free_sessions if begins <= life.first[column] else free
        for treated in special:
            if treated.prefix == code and code.startswith(MAIN_BOARDS):
                until = min(treated.until or SPECIAL_TREATMENT_ENDS, SPECIAL_TREATMENT_ENDS)
                begins, ends = sessions.searchsorted(pd.DatetimeIndex([treated.since, until]))
                moves[WARM_UP + begins : WARM_UP + ends, column] = round(treated.limit * 10_000)
        if life.first[column] > WARM_UP:
            moves[life.first[column] : life.first[column] + free, column] = 0
    return moves


def _seal(rng: np.random.Generator, prices: TradedPrices, traded: TradedBars) -> TradedBars:
    """Let some of the sessions that close at a limit trade at nothing else, and count volume in lots."""
    at_limit = (prices.close == prices.highest) | (prices.close == prices.lowest)
    sealed = at_limit & (rng.random(at_limit.shape) < SEALED)
    open_, high, low = (np.where(sealed, prices.close, field) for field in (traded.open, traded.high, traded.low))
    volume = np.maximum(np.round(traded.volume / 100), 1.0) * 100
    return TradedBars(open_, high, low, volume, traded.traded)
