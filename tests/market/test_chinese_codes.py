import pytest

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.chinese_codes import chinese_code


@pytest.mark.parametrize(
    ("qlib", "spellings"),
    [
        (
            "SH600000",
            ["SH600000", "sh600000", "600000", "600000.SH", "sh.600000", "600000.XSHG", "600000.SS", "600000.SSE",
             "SHSE.600000", "600000.sh", " 600000.SH "],
        ),
        ("SH688001", ["688001.SH", "sh688001", "sh.688001", "688001.XSHG", "688001"]),
        ("SH689009", ["689009.SH"]),
        ("SZ000001", ["000001.SZ", "sz000001", "sz.000001", "000001.XSHE", "000001.SZSE", "SZSE.000001", "000001"]),
        ("SZ300750", ["300750.SZ", "sz300750", "300750.XSHE"]),
        ("SZ302132", ["302132.SZ", "SZ302132"]),
        ("BJ830799", ["830799.BJ", "bj830799", "bj.830799", "830799.BJSE", "830799.BSE", "830799.XBSE", "830799"]),
        ("BJ920002", ["920002.BJ", "bj920002"]),
        ("BJ430047", ["430047.BJ", "BJ430047"]),
    ],
)  # fmt: skip
def test_every_vendors_spelling_of_a_share_is_read(qlib, spellings):
    assert {chinese_code(spelling) for spelling in spellings} == {qlib}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("AAPL", "'AAPL' is no code of a Chinese share"),
        ("60000.SH", "no code of a Chinese share"),
        ("SH600000.SH", "no code of a Chinese share"),
        ("", "no code of a Chinese share"),
        ("６００000", "no code of a Chinese share"),
        ("000300.SH", "names the exchange SH, but 000300 is a share of SZ"),
        ("600000.SZ", "names the exchange SZ, but 600000 is a share of SH"),
        ("600000.HK", "names the exchange HK"),
        ("510300.SH", "no share in CNY"),
        ("900901.SH", "no share in CNY"),
        ("200002.SZ", "no share in CNY"),
        ("399001.SZ", "no share in CNY"),
        ("400001.BJ", "no share in CNY"),
        ("820001.BJ", "no share in CNY"),
    ],
)
def test_what_is_no_share_is_refused_with_the_reason(text, message):
    with pytest.raises(MarketDataError, match=message):
        chinese_code(text)
