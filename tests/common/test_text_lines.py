"""Lines end with the signs that readers of tables take for an end, and with no other."""

import io

import pytest

from quant_pipeline.common.text_lines import count_blank_lines, end_of_lines, first_lines_of, lines_of

TEXTS = [
    "",
    "a",
    "a\n",
    "\n",
    "a\r\nb",
    "a\rb\r",
    "a\n\rb",
    "\r\n\r\n",
    "a\x0cb\x85c\u2028d\n\x0b\x1c\x1d\x1e\u2029e\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_lines_are_those_of_a_file_that_is_opened_as_text(text):
    with_ends = list(io.StringIO(text, newline=""))
    lines = [line.rstrip("\r\n") for line in with_ends]
    assert lines_of(text) == lines
    for number in range(4):
        assert first_lines_of(text, number, 1000) == lines[:number]
        assert end_of_lines(text, number) == len("".join(with_ends[:number]))


def test_no_more_signs_than_are_said_are_looked_at():
    assert first_lines_of("abc\ndef", 5, 2) == ["ab"]
    assert first_lines_of("abc\ndef", 5, 5) == ["abc", "d"]


@pytest.mark.parametrize(
    ("text", "number"),
    [("", 0), ("\n", 1), ("\r\na", 1), ("\r\r\na", 2), (" \t\n\r \ra\n\n", 3), ("a\n\n", 0), ("\x0c\n", 0), ("\n ", 1)],
)
def test_blank_lines_are_counted_up_to_the_first_that_is_not(text, number):
    assert count_blank_lines(text, 0) == number
    assert count_blank_lines(f"date\n{text}", len("date\n")) == number
