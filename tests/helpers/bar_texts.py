"""Texts of files of bars as vendors write them, mostly plain, and what makes them odd."""

import pandas as pd
from hypothesis import strategies as st

HEADER = "timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient"
N_ROWS = 40
ODD_CELLS = (
    "", "nan", "inf", "-5", " 12.5", "12.5 ", "1_000", "１２", "0x10", "$12.5", '"1,250.5"', "+3", "1e400", "2.5E-3",
    "9007199254740993", "0.1000000000000000055511151231257827", "1.7976931348623157e308", "abc", "12.5\x00",
)  # fmt: skip
ODD_LINES = (
    "", " ", ",,,,,,,,", HEADER, "Source: a vendor", "2024-05-06,1,1,1,1,1,1,0,1,9", "2024-05-06,1", "\r",
    "20240506,1,1,1,1,1,1,0,1", "2024-05-07,1,1,1,1,1,1,0,1",
)  # fmt: skip
DATES = ("%Y-%m-%d", "%Y%m%d", "%m/%d/%Y", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d")


def rows(form="%Y-%m-%d"):
    days = pd.bdate_range("2024-01-02", periods=N_ROWS)
    return [
        f"{day.strftime(form)},{100 + k / 7},{101 + k / 7},99.5,{100.1 + k / 3},{50.05 + k / 6},{1000 + k},0.0,1.0"
        for k, day in enumerate(days)
    ]


@st.composite
def texts(draw):
    """Draw a text and where it is cut: mostly plain, sometimes with something odd in either part."""
    lines = rows(draw(st.sampled_from(DATES)))
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(lines) - 1))
        if draw(st.booleans()):
            lines.insert(place, draw(st.sampled_from(ODD_LINES)))
        else:
            cells = lines[place].split(",")
            cells[draw(st.integers(0, len(cells) - 1))] = draw(st.sampled_from(ODD_CELLS))
            lines[place] = ",".join(cells)
    separator = draw(st.sampled_from((",", ",", ";")))
    end = draw(st.sampled_from(("\n", "\n", "\r\n")))
    text = end.join([HEADER, *lines]).replace(",", separator) + draw(st.sampled_from((end, end, "")))
    cut = draw(st.integers(len(HEADER) + 20, len(text)))
    return draw(st.sampled_from(("", "", "\ufeff"))) + text, cut
