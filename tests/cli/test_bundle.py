"""`tmkd rank`: passages on standard input."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

import tiny
import tmkd.bundle
from tiny import Call
from tmkd.bundle import Ranker
from tmkd.cli.bundle import rank
from tmkd.errors import TmkdError, UsageError


class Reversing:
    """A Ranker whose order is the reverse of what it gets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def rank(self, question: str, passages: list[str], top: int | None, return_documents: bool) -> list[dict[str, Any]]:
        numbers = list(range(len(passages)))[::-1][:top]
        return [{"corpus_id": number, "score": 0.5, "text": f"{question}: {passages[number]}"} for number in numbers]


def put(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Put bytes on standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tmkd.bundle, "Ranker", Reversing)

    def give(content: bytes) -> None:
        put(monkeypatch, content)

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
def test_values_that_are_no_text_are_refused(given: Any, content: bytes, said: str) -> None:
    given(content)
    with pytest.raises((TmkdError, UsageError), match=said):
        rank(Path("bundle"), "q", None, False)


@pytest.mark.parametrize(
    ("lines", "question", "message"),
    [
        (b"", "why", "no passage"),
        (b"\n \n", "why", "no passage"),
        (b"good\n\xff\n", "why", "line 2 is not UTF-8"),
        (b"good", " ", "--question is empty"),
    ],
)
def test_an_empty_or_undecodable_input_is_wrong_usage(
    tmkd: Call, monkeypatch: pytest.MonkeyPatch, lines: bytes, question: str, message: str
) -> None:
    put(monkeypatch, lines)
    said = tmkd("rank", "nowhere", "--question", question)
    assert said.code == 2
    assert message in said.err


def test_the_error_of_rank_without_a_bundle_names_the_remedy(
    tmkd: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put(monkeypatch, b"moon")
    said = tmkd("rank", tmp_path, "--question", "why")
    assert (said.code, "not a bundle" in said.err, "tmkd export" in said.err) == (1, True, True)


def test_rank_prints_the_best_passages_with_their_lines(
    made: tuple[Path, Path], tmkd: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    passages = [tiny.passage(topic, good) for topic in (24, 25) for good in (True, False)]
    put(monkeypatch, "\n\n".join(passages).encode() + b"\n")
    ranked = tmkd("rank", made[1], "--question", tiny.question(24), "--top", 2, "--json")
    entries = json.loads(ranked.out)
    expected = Ranker(made[1]).rank(tiny.question(24), passages, 2)
    assert [one["line"] for one in entries] == [2 * one["corpus_id"] + 1 for one in expected]  # blank lines count
    assert [one["text"] for one in entries] == [passages[one["corpus_id"]] for one in expected]
    put(monkeypatch, passages[0].encode())
    shown = tmkd("rank", made[1], "--question", tiny.question(24))
    assert re.fullmatch(rf"[01]\.\d{{4}}     1  {re.escape(passages[0])}\n", shown.out)
