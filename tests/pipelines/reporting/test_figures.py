import json
from functools import partial

import pandas as pd
import plotly.io
import pytest

from quant_pipeline.pipelines.backtest.figures import draw_drawdown, draw_net_asset_value
from quant_pipeline.pipelines.reporting import figures
from quant_pipeline.reports import theme


def drawn(figure, name):
    """Values of the trace with this name."""
    (trace,) = (trace for trace in figure.data if trace.name == name)
    return list(trace.y)


def luminance(colour):
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_net_asset_value_and_benchmark_are_drawn_as_they_are(tables):
    nav = tables["backtest_nav"]
    figure = draw_net_asset_value(nav, "USD")
    assert drawn(figure, "strategy") == nav["nav"].tolist()
    assert drawn(figure, "benchmark") == nav["benchmark"].tolist()
    assert figure.layout.yaxis.type == "log"


def test_drawdown_is_never_above_zero_and_touches_it_at_the_start(tables):
    depth = drawn(draw_drawdown(tables["backtest_nav"]), "strategy")
    assert max(depth) == depth[0] == 0.0
    assert min(depth) == pytest.approx(tables["backtest_performance"]["maximum_drawdown"])


def test_the_last_cumulative_rank_ic_is_the_sum(tables):
    series = tables["ic_series"]
    figure = figures.draw_cumulative_information(series)
    sums = series.groupby("model")["rank_ic"].sum()
    assert {trace.name: trace.y[-1] for trace in figure.data} == pytest.approx(sums.to_dict())
    assert figure.data[-1].name == "fused"


def test_a_rolling_mean_starts_when_its_window_is_full(tables):
    series = tables["ic_series"]
    fused = series[series["model"] == "fused"]["rank_ic"]
    rolling = drawn(figures.draw_rolling_information(series), "fused")
    assert len(rolling) == len(fused) - 59
    assert rolling[0] == pytest.approx(fused.iloc[:60].mean())


def test_too_few_sessions_for_a_rolling_mean_are_said(tables):
    few = tables["ic_series"].groupby("model").head(10)
    figure = figures.draw_rolling_information(few)
    assert not figure.data
    assert figure.layout.annotations[0].text == "60 sessions are needed, 10 are known"


def test_turnover_and_costs_are_summed_by_month(tables):
    nav = tables["backtest_nav"]
    figure = figures.draw_turnover(nav, "CNY")
    january = nav["date"].dt.strftime("%Y-%m") == "2022-01"
    assert drawn(figure, "turnover, times the NAV")[0] == pytest.approx(nav.loc[january, "turnover"].sum())
    assert drawn(figure, "cost, CNY")[0] == pytest.approx(nav.loc[january, "cost"].sum())
    assert len(figure.data[0].x) == 36


def test_the_account_is_drawn_from_its_second_session_on(tables):
    account = tables["account_nav"]
    assert drawn(figures.draw_account(account, "USD"), "cash") == account["cash"].tolist()
    assert (
        figures.draw_account(account.head(1), "USD").layout.annotations[0].text == "A curve needs two booked sessions"
    )
    assert figures.draw_account(account.head(0), "USD").layout.annotations[0].text == "Nothing is booked yet"


def test_deposits_and_withdrawals_are_marked_at_their_close_but_for_what_opened_the_account(tables):
    account = tables["account_nav"]
    dates = account["date"]
    # A Saturday: the money is first in the close of the Monday.
    weekend = next(day for day in dates if day.dayofweek == 0 and day > dates.iloc[1]) - pd.Timedelta(days=2)
    flows = [(dates.iloc[0], 1_000_000.0), (dates.iloc[3], 5_000.0), (weekend, -250.0)]
    marks = next(trace for trace in figures.draw_account(account, "USD", flows).data if trace.mode == "markers")
    assert list(marks.x) == [dates.iloc[3], weekend + pd.Timedelta(days=2)]
    assert [text.replace("\N{MINUS SIGN}", "-") for text in marks.text] == ["deposit +5,000", "withdrawal -250"]
    assert marks.y[0] == account["nav"].iloc[3]


@pytest.mark.parametrize(
    "draw",
    [
        partial(draw_net_asset_value, currency="USD"),
        draw_drawdown,
        partial(figures.draw_turnover, currency="USD"),
        figures.draw_cumulative_information,
        figures.draw_rolling_information,
        partial(figures.draw_account, currency="USD"),
    ],
)
def test_without_rows_a_figure_says_why_it_is_empty(draw):
    figure = draw(pd.DataFrame())
    assert not figure.data
    assert figure.layout.annotations[0].text


def test_a_figure_survives_its_file(tables):
    figure = draw_net_asset_value(tables["backtest_nav"], "USD")
    written = figure.to_json()
    assert json.loads(plotly.io.from_json(written).to_json()) == json.loads(written)


def test_the_name_of_a_model_is_shown_letter_by_letter(tables):
    series = tables["ic_series"].replace({"model": {"fused": "<b>x</b>&"}})
    names = {trace.name for trace in figures.draw_cumulative_information(series).data}
    assert "&lt;b&gt;x&lt;/b&gt;&amp;" in names


def test_twenty_models_look_different():
    styles = [(style["color"], style["dash"]) for style in map(theme.series_style, range(20))]
    assert len(set(styles)) == 20


def test_every_colour_has_one_dark_twin():
    shades = (*theme.COLOURS.values(), *theme.SERIES)
    assert len({shade.light for shade in shades}) == len(shades)
    assert not {shade.light for shade in shades} & {shade.dark for shade in shades}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["surface", "wash"])
@pytest.mark.parametrize("role", ["ink", "muted", "accent", "gain", "loss", "caution"])
def test_text_can_be_read(role, ground, scheme):
    assert contrast(getattr(theme.COLOURS[role], scheme), getattr(theme.COLOURS[ground], scheme)) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_of_models_stand_out(scheme):
    surface = getattr(theme.COLOURS["surface"], scheme)
    assert min(contrast(getattr(shade, scheme), surface) for shade in theme.SERIES) >= 3.0
