"""Texts that no program has written as the JSON of an object: torn, of another kind, and nested without an end."""

DAMAGED_JSON = {
    "empty": b"",
    "torn": b'{"a": {"b"',
    "no text": b"\xff\xfe\x00\x9f",
    "list": b"[]",
    "number": b"5",
    "deep list": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
}
