"""Refusals in the shape of each dialect."""

from __future__ import annotations

import pytest

from tmkd.serve.refusal import OBJECT_PATHS, Refusal

REFUSAL = Refusal(413, "Validation", "too much", {"x": "y"})


@pytest.mark.parametrize("path", ["/rerank", "/predict", "/answer", "/info", "/nowhere"])
def test_tei_s_shape_has_a_text_and_a_word(path: str) -> None:
    assert REFUSAL.content(path) == {"error": "too much", "error_type": "Validation"}


@pytest.mark.parametrize("path", OBJECT_PATHS)
def test_the_objects_shape_is_read_by_each_client(path: str) -> None:
    content = REFUSAL.content(path)
    assert content["message"] == content["detail"] == content["error"]["message"] == "too much"
    assert content["error"]["code"] == 413
    assert content == REFUSAL.content("/rerank", as_object=True)


def test_nothing_asked_is_a_400() -> None:
    assert Refusal.empty("nothing").status == 400
