from __future__ import annotations

import builtins
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmkd.collect.index import TantivyIndex
from tmkd.errors import TmkdError

PASSAGES = [
    ("eggs", "Boiling", "Cook the eggs for eight minutes."),
    ("eggs", "Boiling", "Cool them under running water."),
    ("tea", "Green tea", "Steep the leaves for two minutes."),
    ("iron", "", "Spinach holds iron, as beans do."),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> TantivyIndex:
    return TantivyIndex.build(tmp_path_factory.mktemp("world") / "index", PASSAGES)


def test_the_best_passage_comes_first_with_rank_and_score(index: TantivyIndex) -> None:
    hits = index.search("How many MINUTES to cook eggs?", 10)
    assert [(hit.url, hit.rank) for hit in hits] == [("eggs", 1), ("tea", 2)]
    assert hits[0].passage == "Cook the eggs for eight minutes."
    assert hits[0].score > hits[1].score > 0


def test_the_title_is_searched_and_not_returned(index: TantivyIndex) -> None:
    assert [hit.passage for hit in index.search("boiling", 1)] == [PASSAGES[0][2], PASSAGES[1][2]]


def test_only_the_asked_number_of_documents(index: TantivyIndex) -> None:
    assert {hit.url for hit in index.search("minutes water leaves", 1)} == {"tea"}


def test_equal_scores_come_in_the_order_of_the_passages(tmp_path: Path) -> None:
    same = [(f"u{number:04}", "", f"apple pie{number:04}") for number in range(3000)]
    index = TantivyIndex.build(tmp_path / "index", same)
    assert [hit.url for hit in index.search("apple", 7)] == [url for url, _, _ in same[:7]]
    assert [hit.url for hit in index.search("apple pie2999", 3)] == ["u2999", "u0000", "u0001"]


def test_a_document_with_many_passages_does_not_hide_the_others(tmp_path: Path) -> None:
    many = [("long", "", f"apple apple word{number}") for number in range(200)]
    index = TantivyIndex.build(tmp_path / "index", [*many, ("short", "", "one apple in a much longer text than those")])
    assert {hit.url for hit in index.search("apple", 2)} == {"long", "short"}


@pytest.mark.parametrize(
    "question",
    ["", "?!", "the who", "\ud800", "\x00", "+eggs -tea", 'url:"x', "(eggs", "eggs*", "[a TO b]", "x^2~", "NOT"],
)
def test_no_question_is_syntax(index: TantivyIndex, question: str) -> None:
    assert [hit.url for hit in index.search(question, 1)] in ([], ["eggs"])


def test_minus_excludes_nothing(index: TantivyIndex) -> None:
    assert {hit.url for hit in index.search("cook -eggs", 5)} == {"eggs"}


@settings(deadline=None, max_examples=50)
@given(question=st.text(alphabet=st.characters(exclude_categories=())), documents=st.integers(1, 3))
def test_any_unicode_question_is_searched(index: TantivyIndex, question: str, documents: int) -> None:
    assert len({hit.url for hit in index.search(question, documents)}) <= documents


def test_more_passages_than_one_chunk_of_texts(tmp_path: Path) -> None:
    count = (1 << 14) + 2
    index = TantivyIndex.build(tmp_path / "index", ((f"u{number}", "", f"w{number}") for number in range(count)))
    assert len(index) == count
    assert [hit.url for hit in index.search(f"w{count - 1} w0", 2)] == ["u0", f"u{count - 1}"]


def never() -> Iterator[tuple[str, str, str]]:
    raise AssertionError("the sealed index was not used again")
    yield


def test_a_sealed_index_is_used_again_and_another_key_builds_anew(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    TantivyIndex.build(folder, PASSAGES, "one")
    assert len(TantivyIndex.build(folder, never(), "one")) == 4
    assert len(TantivyIndex.open(folder)) == 4
    assert len(TantivyIndex.build(folder, PASSAGES[:1], "two")) == 1


def test_an_unsealed_index_is_built_anew(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    TantivyIndex.build(folder, PASSAGES)
    (folder / "index.json").unlink()
    with pytest.raises(TmkdError, match="no finished search index"):
        TantivyIndex.open(folder)
    assert len(TantivyIndex.build(folder, PASSAGES[:2])) == 2


def test_an_index_without_passages_finds_nothing(tmp_path: Path) -> None:
    assert TantivyIndex.build(tmp_path / "index", []).search("eggs", 3) == []


def test_a_damaged_index_is_told_in_a_line(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    TantivyIndex.build(folder, PASSAGES)
    (folder / "passages.arrow").write_bytes(b"rubbish")
    with pytest.raises(TmkdError, match="damaged"):
        TantivyIndex.open(folder)


def test_missing_tantivy_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def blocked(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "tantivy":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(TmkdError, match=r"pip install 'tmkd\[collect\]'"):
        TantivyIndex.build(tmp_path / "index", PASSAGES)


def test_an_index_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    def passages() -> Iterator[tuple[str, str, str]]:
        yield PASSAGES[0]
        shutil.rmtree(tmp_path / "index" / "words")  # as good as a full disk: the index finds no place to write

    with pytest.raises(TmkdError, match="the search index cannot be written"):
        TantivyIndex.build(tmp_path / "index", passages())
