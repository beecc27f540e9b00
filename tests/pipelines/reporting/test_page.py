import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from quant_pipeline.reports.page import packed_library

VOID = {"meta", "link", "img", "br"}
HOSTILE = "<img src=x onerror=alert(1)>'\"&</script><!--"


class Structure(HTMLParser):
    """Checks that elements close in order; collects attributes and text."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.starts, self.headings = [], [], []

    def handle_starttag(self, tag, attrs):
        self.starts.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in {"h1", "h2"}:
            self.headings.append(data)


def read(page):
    structure = Structure()
    structure.feed(page)
    assert structure.open == []
    return structure


def values(structure, attribute):
    return [attrs[attribute] for _, attrs in structure.starts if attribute in attrs]


@pytest.fixture(scope="module")
def structure(page):
    return read(page)


def test_the_page_begins_with_the_verdict(structure):
    assert structure.headings == [
        "Tuesday 31 December 2024",
        "Account sim",
        "Orders of the next session",
        "Backtest",
        "Scores",
        "Combinations",
        "Turnover and costs",
        "Data quality",
        "What to type next",
        "Provenance",
    ]


def test_nothing_is_loaded_from_anywhere(structure):
    assert values(structure, "src") == []
    assert all(target.startswith("#") or target == "data:," for target in values(structure, "href"))
    styles = re.findall(r"url\(|@import", page_without_library(structure))
    assert styles == []


def page_without_library(structure):
    return " ".join(str(attrs) for _, attrs in structure.starts)


def test_the_library_is_on_the_page_once(page):
    assert page.count(packed_library()[:200]) == 1
    assert len(page) < 3_000_000


def test_links_lead_somewhere_and_names_are_unique(structure):
    names = values(structure, "id")
    assert len(names) == len(set(names))
    targets = {target[1:] for target in values(structure, "href") if target.startswith("#")}
    assert targets <= set(names)
    assert set(values(structure, "aria-labelledby")) <= set(names)


def test_the_page_is_described_for_screen_readers(structure):
    tags = [tag for tag, _ in structure.starts]
    assert dict(structure.starts)["html"] == {"lang": "en"}
    assert tags.count("h1") == tags.count("title") == tags.count("main") == 1
    assert tags.count("caption") == tags.count("table")
    pictures = [attrs for tag, attrs in structure.starts if attrs.get("role") == "img"]
    assert len(pictures) == tags.count("figure") == 8
    assert all(len(attrs["aria-label"]) > 40 for attrs in pictures)


def test_the_same_input_gives_the_same_bytes(compose, tables, page):
    assert compose(tables) == page


def test_the_headline_quotes_the_performance(page, tables):
    performance = tables["backtest_performance"]
    assert f'<span class="value">{performance["sharpe"]:.2f}</span>' in page
    assert f"returned {performance['annualised_return']:.1%} a year after costs" in page


def test_what_the_backtest_does_not_follow_is_said_in_the_headline_and_beside_its_figures(
    settings, compose, tables, page
):
    stopping = {**settings["parameters"], "order_generation": {"stop_rules": {"stop_loss": 0.1}}}
    stopped = compose(tables, parameters=stopping)
    said = "Orders follow stop_rules (stop_loss 0.1), which the backtests do not"
    assert stopped[: stopped.index('<section id="backtest"')].count(said) == 1
    assert stopped[stopped.index('<section id="backtest"') :].count(said) == 1
    assert "Orders follow" not in page


def test_an_order_is_listed_with_its_reason_and_what_is_held_is_folded_away(page):
    orders = page[page.index('<section id="orders"') : page.index('<section id="backtest"')]
    listed, folded = orders.split("<details>")
    assert "KZQL" in listed
    assert "sold: it has no score, it left the universe" in listed
    assert "QUIN" not in listed
    assert "QUIN" in folded


def test_errors_in_the_data_are_an_alarm(page, compose, tables):
    assert '<span class="value error">' in page
    calm = compose({**tables, "data_quality": tables["data_quality"].assign(severity="warning")})
    assert '<span class="value error">' not in calm
    assert "look at them before you deal" not in calm


def test_on_the_first_day_every_section_says_what_is_missing(compose, empty_tables):
    first_day = compose(empty_tables)
    assert read(first_day).headings[-1] == "Provenance"
    for expected in (
        "No backtest of the present parameters has been run",
        "No rank IC is known",
        "No combination has been tried",
        "Nothing is to be bought, sold or held on Thursday 2 January 2025",
        "No session is booked yet",
        "No check found anything",
    ):
        assert expected in first_day, expected


def test_tables_without_columns_are_like_tables_without_rows(compose, empty_tables):
    tables = {name: table for name, table in empty_tables.items() if isinstance(table, pd.DataFrame)}
    bare = {**empty_tables, **dict.fromkeys(tables, pd.DataFrame())}
    assert compose(bare) == compose(empty_tables)


@pytest.mark.parametrize(
    ("name", "rows"), [("backtest_nav", 1), ("backtest_nav", 2), ("account_nav", 1), ("ic_series", 1), ("holdings", 0)]
)
def test_a_table_may_be_short(compose, tables, name, rows):
    read(compose({**tables, name: tables[name].head(rows)}))


def test_only_renewed_weights_get_a_figure(page):
    assert "Weights of latest_icir" in page
    assert "Renewed 2 times" in page
    assert "Weights of all_icir" not in page


def test_a_session_of_holding_only_is_said(compose, tables):
    orders = tables["orders"]
    assert "No order for Thursday 2 January 2025 at the open: everything is held." in compose(
        {**tables, "orders": orders[orders["side"] == "hold"]}
    )


def test_names_from_data_cannot_become_markup(compose, tables):
    spoilt = {
        name: table.assign(**dict.fromkeys(table.select_dtypes("str").columns, HOSTILE))
        for name, table in tables.items()
        if name in ("orders", "holdings", "data_quality", "backtest_trades")
    }
    spoilt["combination_comparison"] = tables["combination_comparison"].assign(members=HOSTILE, combination=HOSTILE)
    spoilt["combination_nav"] = tables["combination_nav"].replace({"combination": {"all_equal": HOSTILE}})
    spoilt["ensemble_weight_history"] = tables["ensemble_weight_history"].replace(
        {"combination": {"latest_icir": HOSTILE}, "model": {"gru_alpha158": HOSTILE}}
    )
    spoilt["ensemble_weights"] = tables["ensemble_weights"].replace({"model": {"gru_alpha158": HOSTILE}})
    spoilt["ic_series"] = tables["ic_series"].replace({"model": {"gru_alpha158": HOSTILE}})
    structure = read(compose({**tables, **spoilt}))
    assert "img" not in [tag for tag, _ in structure.starts]
    assert not any(attribute.startswith("on") for _, attrs in structure.starts for attribute in attrs)


def test_only_a_simulated_market_carries_the_notice(compose, tables, page):
    notice = "The market of this account is simulated"
    assert notice in page
    assert notice not in compose_for(compose, tables, account="live", market="alpaca")


def test_a_live_account_is_marked(compose, tables, page):
    live = compose_for(compose, tables, account="live", market="alpaca")
    assert '<span class="badge real">account live</span>' in live
    assert "badge real" not in page
    assert "kedro run --pipelines daily --env live" in live


def compose_for(compose, tables, account, market):
    from quant_pipeline.pipelines.reporting.parameters import ReportParameters

    report = ReportParameters(account=account, market=market, path=f"data/accounts/{account}/08_reporting")
    return compose(tables, report=report)


def test_the_shadow_account_has_a_line_with_its_causes(compose, tables):
    page = compose(tables)
    assert "On 2024-12-31 the account earned 19.75 USD less than the backtest makes of the same session" in page
    assert "delay +19, fees +1" in page
    same = tables["shadow_sessions"].iloc[:1]
    assert "to the cent what the backtest makes" in compose(tables | {"shadow_sessions": same})
    assert "the backtest makes of" not in compose(tables | {"shadow_sessions": same.iloc[:0]})


def test_live_scores_of_the_session_are_shown_with_the_bundle_behind_the_orders(compose, tables, empty_tables, page):
    of_another_session = tables["live_scores"].replace('2024-12-31"', '2024-12-30"')
    for written in (page, compose({**empty_tables, "live_scores": tables["live_scores"]})):
        assert "Live scores of the session" in written
        assert "the last scores, of 21:01 UTC" in written
        assert "ABCD 0.5000, KZQL 0.1250, XYZ -1.0000" in written
    assert "Live scores" not in compose({**tables, "live_scores": of_another_session})
    assert "Live scores" not in compose({**tables, "live_scores": None})
