"""Values in the compact protocol of Thrift, by the bytes of its specification."""

import pytest

from quant_pipeline.datasets.thrift import fill, read_struct, structs, texts, whole_number


@pytest.mark.parametrize(("value", "written"), [(0, b"\x00"), (1, b"\x02"), (64, b"\x80\x01"), (300, b"\xd8\x04")])
def test_a_whole_number_is_turned_and_cut_into_seven_bits(value, written):
    assert whole_number(value) == written
    assert read_struct(b"\x16" + written + b"\x00").parts[1].number(b"\x16" + written) == value


STRUCT = b"\x16\x08\x00"
"""A whole number 4 in the field 1."""


@pytest.mark.parametrize(
    ("head", "value"),
    [
        (b"\x11", b""),
        (b"\x12", b""),
        (b"\x13", b"\xff"),
        (b"\x14", b"\xff\x01"),
        (b"\x15", b"\xff\xff\x01"),
        (b"\x17", bytes(8)),
        (b"\x18", b"\x03abc"),
        (b"\x19", b"\x08"),
        (b"\x19", b"\x21\x01\x02"),
        (b"\x19", texts(["ab"] * 20)),
        (b"\x1a", structs([STRUCT] * 2)),
        (b"\x1c", STRUCT),
    ],
)
def test_a_value_of_any_kind_ends_where_the_next_one_begins(head, value):
    data = head + value + STRUCT
    read = read_struct(data)
    assert (read.parts[1].start, read.parts[1].stop) == (1, 1 + len(value))
    assert read.parts[2].number(data) == 4
    assert read.stop == len(data)


def test_a_field_far_from_the_one_before_it_says_its_number():
    data = b"\x16\x02\x06\xc8\x01\x04\x00"
    read = read_struct(data)
    assert {field: value.number(data) for field, value in read.parts.items()} == {1: 1, 100: 2}


def test_values_are_replaced_where_they_are():
    data = structs([STRUCT, b"\x16\x0a\x16\x0c\x00"])
    read = read_struct(b"\x19" + data + b"\x00")
    second = read.parts[1].parts[1]
    pieces = second.cut(b"\x19" + data, second.parts[1], second.parts[2])
    assert fill(pieces, whole_number(7), whole_number(300)) == b"\x16\x0e\x16\xd8\x04\x00"
