"""Lines of JSONL as objects, and their faults."""

from __future__ import annotations

import pytest

from tmkd.data.jsonl import LineError, json_objects


def test_each_line_gives_its_object_in_order() -> None:
    assert list(json_objects(['{"a": 1}', b'{"b": "\xc3\xa4"}\n'])) == [{"a": 1}, {"b": "ä"}]


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        (b"\xff{}", "not utf-8", "not valid JSON ('utf-8' codec"),
        (b"{", "bad json", "not valid JSON (Expecting"),
        (b"", "bad json", "not valid JSON (Expecting value"),
        ("[" * 100_000, "bad json", "not valid JSON (maximum recursion depth"),
        (b"[1]", "no object", "not a JSON object"),
    ],
)
def test_a_faulty_line_gives_an_error_and_the_next_line_is_parsed(line: bytes | str, kind: str, message: str) -> None:
    error, following = json_objects([line, b"{}"])
    assert isinstance(error, LineError)
    assert error.kind == kind
    assert str(error).startswith(message)
    assert following == {}
