"""Labels of axes differ, whatever the values."""

import pandas as pd
import plotly.graph_objects as go
import plotly.io
import pytest

from quant_pipeline.reports.ticks import label_apart


def labelled(values, tickformat, **axis):
    days = pd.date_range("2024-01-01", periods=len(values))
    figure = go.Figure(go.Scatter(x=days, y=values)).update_yaxes(tickformat=tickformat, **axis)
    return label_apart(figure)


@pytest.mark.parametrize(
    ("values", "tickformat", "finer"),
    [
        ([-0.0001, 0.0001], "+.2%", "+.3%"),
        ([-0.3, 0.3], "+.2%", "+.2%"),
        ([1_000_100.0, 1_002_000.0], ",.4~s", ",.5~s"),
        ([1e5, 3e6], ",.3~s", ",.3~s"),
        ([0.011, 0.012], "+.2f", "+.4f"),
        ([0.5, 0.5], ".0%", ".0%"),
        ([float("nan"), 0.1], ".0%", ".0%"),
        ([0.011, 0.012], None, None),
    ],
)
def test_ticks_have_the_decimals_that_tell_them_apart(values, tickformat, finer):
    assert labelled(values, tickformat).layout.yaxis.tickformat == finer


def test_an_axis_that_begins_at_zero_is_measured_from_there():
    assert labelled([0.90, 0.91], ".0%").layout.yaxis.tickformat == ".1%"
    assert labelled([0.90, 0.91], ".0%", rangemode="tozero").layout.yaxis.tickformat == ".0%"


def test_few_days_are_labelled_one_by_one_and_many_are_not():
    few = labelled([1.0, 2.0, 3.0], None).layout.xaxis
    assert [f"{day:%Y-%m-%d}" for day in pd.DatetimeIndex(few.tickvals)] == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert few.tickformat == "%-d %b"
    assert labelled([1.0] * 30, None).layout.xaxis.tickvals is None
    months = go.Figure(go.Bar(x=pd.date_range("2024-01-01", periods=3, freq="MS"), y=[1.0, 2.0, 3.0]))
    assert label_apart(months).layout.xaxis.tickformat == "%b %Y"


def test_a_figure_that_was_read_from_json_is_labelled_the_same():
    figure = labelled([0.011, 0.012], None).update_yaxes(tickformat="+.2f").update_xaxes(tickvals=None)
    read = label_apart(plotly.io.from_json(figure.to_json()))
    assert read.layout.yaxis.tickformat == "+.4f"
    assert len(read.layout.xaxis.tickvals) == 2


def test_names_on_an_axis_stay():
    figure = go.Figure(go.Bar(x=["ridge", "gru"], y=[1.0, 2.0]))
    assert label_apart(figure).layout.xaxis.tickvals is None


def test_an_axis_of_names_stays_as_it_is():
    figure = go.Figure().add_bar(x=[0.1, 0.2], y=["ridge", "gru"], orientation="h")
    assert label_apart(figure).layout.yaxis.tickformat is None


def test_values_from_left_to_right_are_told_apart_too():
    bars = go.Figure().add_bar(x=[0.0004, -0.0002], y=["ridge", "gru"], orientation="h")
    assert label_apart(bars.update_xaxes(tickformat="+.1%")).layout.xaxis.tickformat == "+.2%"
    points = go.Figure().add_scatter(x=[0.10801, 0.10802], y=[0.1, 0.2], mode="markers")
    points = label_apart(points.update_xaxes(tickformat=".2%").update_yaxes(tickformat=".0%"))
    assert (points.layout.xaxis.tickformat, points.layout.yaxis.tickformat) == (".4%", ".0%")
    # A vertical bar begins at zero upwards, not to the right.
    upright = go.Figure().add_bar(x=[0.901, 0.902], y=[1.0, 2.0]).update_xaxes(tickformat=".1f")
    assert label_apart(upright).layout.xaxis.tickformat == ".4f"


def test_days_and_years_that_are_names_of_bars_keep_their_labels():
    for names in (["2022", "2023"], ["2022-12-30", "2023-03-29"]):
        figure = go.Figure(go.Bar(x=names, y=[1.0, 2.0])).update_xaxes(type="category")
        assert label_apart(figure).layout.xaxis.tickvals is None
