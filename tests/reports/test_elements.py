from html.parser import HTMLParser

import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from quant_pipeline.reports import elements, wording
from quant_pipeline.reports.elements import Card, Column, Html
from quant_pipeline.reports.rendering import render
from quant_pipeline.reports.theme import blank_figure


class TextOnly(HTMLParser):
    """Collects the text a browser would show."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.shown = []

    def handle_data(self, data):
        self.shown.append(data)


def shown(html):
    reader = TextOnly()
    reader.feed(html)
    reader.close()
    return "".join(reader.shown)


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)


@given(TEXT)
def test_text_from_data_is_shown_letter_by_letter(text):
    assert shown(elements.paragraph(text)) == text
    assert shown(elements.preformatted(text)) == text
    assert shown(elements.cards([Card(text, "", "", "here")])) == text


@given(TEXT)
def test_a_cell_shows_the_text_of_its_data(text):
    frame = pd.DataFrame({"name": [text], "note": [text]})
    columns = [Column("name", "", kind="text"), Column("note", "", kind="long")]
    assert shown(elements.table(frame, columns, "")) == text + text


def test_markup_is_escaped_once():
    assert elements.join([Html("<b>1 &lt; 2</b>"), "1 < 2"]) == "<b>1 &lt; 2</b>1 &lt; 2"


def test_a_table_names_its_rows_and_columns():
    frame = pd.DataFrame({"instrument": ["A", "B"], "profit": [1_000.0, -2.0], "left_out": [1, 2]})
    columns = [
        Column("instrument", "instrument", kind="text"),
        Column("profit", "USD", wording.amount_signed, "signed"),
    ]
    html = elements.table(frame, columns, "Profits", strong="B")
    assert "<caption><span>Profits</span></caption>" in html
    assert '<th scope="col" class="signed">USD</th>' in html
    assert '<th scope="row" class="text">A</th><td class="signed gain">+1,000</td>' in html
    assert '<tr class="strong"><th scope="row" class="text">B</th>' in html
    assert '<td class="signed loss">\N{MINUS SIGN}2</td>' in html
    assert "left_out" not in html


def test_a_bar_is_full_at_its_full_value():
    frame = pd.DataFrame({"name": ["a", "b", "c"], "weight": [0.1, 0.05, None]})
    columns = [Column("name", "name"), Column("weight", "weight", wording.percent, "share", full=0.1)]
    html = elements.table(frame, columns, "")
    assert [part[:5] for part in html.split("--share:")[1:]] == ["1.000", "0.500", "0.000"]


def test_tags_of_unknown_words_have_no_colour():
    frame = pd.DataFrame({"name": ["a", "b"], "severity": ["error", "odd"]})
    html = elements.table(frame, [Column("name", "name"), Column("severity", "severity", kind="tag")], "")
    assert '<span class="is-loss">error</span>' in html
    assert '<span class="is-plain">odd</span>' in html


def test_heat_grows_with_the_return_up_to_its_cap():
    frame = pd.DataFrame(
        {"Jan": [0.04], "Feb": [-0.5], "Mar": [None], "year": [-0.48]}, index=pd.Index([2024], name="year")
    )
    html = elements.heat_table(frame.astype(float), ["Jan", "Feb", "Mar"], "Months")
    assert '<td class="tint-gain" style="--tint:0.50">+4.0%</td>' in html
    assert '<td class="tint-loss" style="--tint:1.00">\N{MINUS SIGN}50.0%</td><td></td>' in html
    assert '<td class="total">\N{MINUS SIGN}48.0%</td>' in html


def test_a_picture_is_described_and_cannot_end_its_script():
    figure = blank_figure("Value & more", "It rose.").add_scatter(x=[1], y=[2], name="</script><script>")
    html = elements.picture(figure, "value")
    assert 'aria-label="Value &amp; more. It rose."' in html
    assert html.count("</script>") == 1
    assert figure.layout.title.text == "Value & more"


def test_only_a_picture_that_offers_scales_has_buttons():
    figure = blank_figure("Value", "It rose.")
    assert elements.picture(figure, "value", scale_choice=True).count("<button") == 2
    assert "<button" not in elements.picture(go.Figure(figure), "value")


def test_parts_beside_each_other_are_one_block_of_escaped_parts():
    assert elements.side_by_side(elements.code("a"), "1 < 2") == '<div class="pair"><code>a</code>1 &lt; 2</div>'


def test_a_value_that_a_template_needs_and_does_not_get_is_an_error():
    with pytest.raises(UndefinedError, match="colours"):
        render("page.html", title="t", links=[], parts=[])
