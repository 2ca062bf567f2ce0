"""`tmkd rank`: passages on standard input."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

import tmkd.bundle
from tmkd.cli.bundle import rank
from tmkd.errors import TmkdError, UsageError


class Reversing:
    """A Ranker whose order is the reverse of what it gets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def rank(self, question: str, passages: list[str], top: int | None, return_documents: bool) -> list[dict[str, Any]]:
        numbers = list(range(len(passages)))[::-1][:top]
        return [{"corpus_id": number, "score": 0.5, "text": f"{question}: {passages[number]}"} for number in numbers]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tmkd.bundle, "Ranker", Reversing)

    def give(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    return give


def test_byte_order_marks_and_blank_lines_are_no_passages(given: Any, capsys: pytest.CaptureFixture[str]) -> None:
    given("\ufeffone\r\r\n\n\ufefftwo\n".encode())
    rank(Path("bundle"), "q", None, True)
    told = json.loads(capsys.readouterr().out)
    assert [(one["line"], one["text"]) for one in told] == [(3, "q: two"), (1, "q: one")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("one\n".encode("utf-16"), "standard input: UTF-16 or UTF-32, or no text at all; save it as UTF-8"),
        (b"one\ncaf\xe9\n", "standard input: line 2 is not UTF-8"),
        (b"\xef\xbb\xbf\n \n", "standard input has no passage"),
    ],
)
def test_what_is_no_text_is_refused(given: Any, content: bytes, said: str) -> None:
    given(content)
    with pytest.raises((TmkdError, UsageError), match=said):
        rank(Path("bundle"), "q", None, False)
