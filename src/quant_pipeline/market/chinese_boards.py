"""Boards of mainland China's exchanges and the daily price limits of their shares, by date.

Sources, by what they rule:

- 10 % since 1996-12-16: notice of the China Securities Regulatory Commission of 1996-12-13.
- Lots of 100, odd lots sold in one piece, 10 %, and 5 % for special treatment: trading rules of Shanghai
  (上海证券交易所交易规则, 2006, 2023) and of Shenzhen (深圳证券交易所交易规则, 2006, 2023), chapters 3 and 4.
- STAR (20 %, five free sessions, 200 shares and steps of one, 2019-07-22): 上海证券交易所科创板股票交易特别规定.
- ChiNext (20 % and five free sessions since 2020-08-24): 深圳证券交易所创业板交易特别规定, 深证上〔2020〕515号.
- Main boards, five free sessions of what is listed under registration, first on 2023-04-10: the trading rules of 2023.
- Special treatment at 10 % since 2026-07-06: 上海证券交易所交易规则 (2026年修订), 上证发〔2026〕41号;
  深圳证券交易所交易规则 (2026年修订), 深证上〔2026〕551号.
- Beijing (30 %, none in the first session, 100 shares and steps of one): 北京证券交易所交易规则(试行), 2021.
"""

from __future__ import annotations

import datetime as dt

MAIN_BOARDS = ("SH60", "SZ00")
CHINEXT = ("SZ30",)
STAR = ("SH68",)
BEIJING = ("BJ",)

SPECIAL_TREATMENT_LIMIT = 0.05
"""Daily limit of shares under special treatment (ST, ``*ST``) on the main boards."""

SPECIAL_TREATMENT_ENDS = dt.date(2026, 7, 6)
"""First day on which shares under special treatment move like the others of the main boards."""

PRICE_LIMITS: tuple[tuple[tuple[str, ...], str, float | None, int], ...] = (
    (MAIN_BOARDS, "1992-05-21", None, 1),
    (MAIN_BOARDS, "1996-12-16", 0.1, 1),
    (MAIN_BOARDS, "2023-04-10", 0.1, 5),
    (CHINEXT, "2009-10-30", 0.1, 1),
    (CHINEXT, "2020-08-24", 0.2, 5),
    (STAR, "2019-07-22", 0.2, 5),
    # Beijing's exchange opened on 2021-11-15 with the shares and the limit of the select tier of NEEQ.
    (BEIJING, "2020-07-27", 0.3, 1),
)
"""Board, first day, limit, and sessions without one of shares that are listed from that day on."""
