from __future__ import annotations

import builtins
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmkd.errors import TmkdError
from tmkd.search import index as module
from tmkd.search import passage_store
from tmkd.search.index import TantivyIndex
from tmkd.search.passage_store import Passage

PASSAGES = [
    Passage("eggs", "Boiling", "Cook the eggs for eight minutes."),
    Passage("eggs", "Boiling", "Cool them under running water."),
    Passage("tea", "Green tea", "Steep the leaves for two minutes."),
    Passage("iron", "", "Spinach holds iron, as beans do."),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> TantivyIndex:
    return TantivyIndex.build(tmp_path_factory.mktemp("world") / "index", PASSAGES)


def test_the_best_passage_comes_first_with_rank_and_score(index: TantivyIndex) -> None:
    hits = index.search("How many MINUTES to cook eggs?", 10)
    assert [(hit.url, hit.rank) for hit in hits] == [("eggs", 1), ("tea", 2)]
    assert hits[0].passage == "Cook the eggs for eight minutes."
    assert [index.texts[hit.number] for hit in hits] == [PASSAGES[0], PASSAGES[2]]
    assert hits[0].score > hits[1].score > 0


@pytest.mark.parametrize(
    ("texts", "questions"),
    [
        (
            ["天空为什么是蓝色的？因为光。", "牛奶是白色的液体，里面有水。"],
            ["为什么天空是蓝色", "牛奶里面有什么"],
        ),
        (["空が青いのは光の散乱のためです。", "牛乳は白い液体です。"], ["なぜ空は青い", "牛乳とは"]),
        (["ท้องฟ้าเป็นสีฟ้าเพราะแสงกระเจิง", "นมเป็นของเหลวสีขาว"], ["ทำไมท้องฟ้าสีฟ้า", "นมคืออะไร"]),
        (["មេឃពណ៌ខៀវដោយសារពន្លឺ", "ទឹកដោះគោជាវត្ថុរាវ"], ["ហេតុអ្វីមេឃពណ៌ខៀវ", "ទឹកដោះគោ"]),
        (["ທ້ອງຟ້າເປັນສີຟ້າ", "ນົມເປັນຂອງແຫຼວ"], ["ທ້ອງຟ້າສີຫຍັງ", "ນົມແມ່ນຫຍັງ"]),
        (["ကောင်းကင်သည်အပြာရောင်", "နို့သည်အဖြူရောင်"], ["ကောင်းကင်", "နို့"]),
        (["雪是由冰晶组成的", "树是植物"], ["雪", "树"]),
        (["कल आज के बाद है", "काल समय है"], ["कल", "काल"]),
        (["c++ has classes here", "c# is for dot net"], ["what is C++", "what is C#"]),
        (["version 1.5 is old", "version 15 is new"], ["version 1.5", "version 15"]),
        (["the cafe\u0301 is open", "the shop is shut"], ["CAFÉ", "shop"]),
        (["elec\u00adtro\u00admag\u00adnet of iron", "a lamp of glass"], ["electromagnet", "la\u200bmp"]),
    ],
)
def test_a_question_finds_the_page_with_its_words_in_any_script(
    tmp_path: Path, texts: list[str], questions: list[str]
) -> None:
    index = TantivyIndex.build(tmp_path, [Passage(str(place), "", text) for place, text in enumerate(texts)])
    assert [index.search(question, 2)[0].url for question in questions] == ["0", "1"]


def test_a_long_question_without_spaces_is_searched_in_time(tmp_path: Path) -> None:
    index = TantivyIndex.build(tmp_path, [Passage("sky", "", "天空是蓝色的")])
    question = "天空" + "".join(map(chr, range(0x4E00, 0x4E00 + 20_000)))
    assert index.search(question, 1)[0].url == "sky"


def test_an_index_of_other_terms_is_refused_and_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "_ANALYSIS", 1)
        TantivyIndex.build(tmp_path, PASSAGES)
    with pytest.raises(TmkdError, match="other terms, by another tmkd; run collect again"):
        TantivyIndex(tmp_path)
    assert len(TantivyIndex.build(tmp_path, PASSAGES)) == 4


def test_the_title_is_searched_and_not_returned(index: TantivyIndex) -> None:
    assert [hit.passage for hit in index.search("boiling", 1)] == [PASSAGES[0][2], PASSAGES[1][2]]


def test_only_the_asked_number_of_documents(index: TantivyIndex) -> None:
    assert {hit.url for hit in index.search("minutes water leaves", 1)} == {"tea"}


def test_equal_scores_come_in_the_order_of_the_passages(tmp_path: Path) -> None:
    same = [Passage(f"u{number:04}", "", f"apple pie{number:04}") for number in range(3000)]
    index = TantivyIndex.build(tmp_path / "index", same)
    assert [hit.url for hit in index.search("apple", 7)] == [one.url for one in same[:7]]
    assert [hit.url for hit in index.search("apple pie2999", 3)] == ["u2999", "u0000", "u0001"]


def test_a_document_with_many_passages_does_not_hide_the_others(tmp_path: Path) -> None:
    many = [Passage("long", "", f"apple apple word{number}") for number in range(200)]
    index = TantivyIndex.build(
        tmp_path / "index", [*many, Passage("short", "", "one apple in a much longer text than those")]
    )
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


@pytest.fixture
def indexed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the files of passages, three to a file, that are indexed from now on."""
    monkeypatch.setattr(passage_store, "_ROWS", 3)
    numbers: list[int] = []
    real = passage_store.Texts.file

    def file(self: passage_store.Texts, place: int) -> Iterator[Passage]:
        numbers.append(place)
        return real(self, place)

    monkeypatch.setattr(passage_store.Texts, "file", file)
    return numbers


def test_one_more_stream_only_adds_their_own_and_find_the_same(tmp_path: Path, indexed: list[int]) -> None:
    every = [Passage(f"u{number}", "", f"w{number} x{number % 3}") for number in range(12)]
    TantivyIndex.build(tmp_path / "grown", every[:7])
    assert indexed == [0, 1, 2]
    grown = TantivyIndex.build(tmp_path / "grown", every[:7], every[7:])
    assert indexed == [0, 1, 2, 3, 4]
    anew = TantivyIndex.build(tmp_path / "anew", every[:7], every[7:])
    assert len(grown) == len(anew) == 12
    for question in ("x1", "w3 x2", "w11", "x0 x1 w9"):
        assert grown.search(question, 5) == anew.search(question, 5)


def test_the_same_passages_are_not_indexed_again_and_others_are(tmp_path: Path, indexed: list[int]) -> None:
    TantivyIndex.build(tmp_path, PASSAGES)
    TantivyIndex.build(tmp_path, PASSAGES)
    assert indexed == [0, 1]
    assert len(TantivyIndex.build(tmp_path, PASSAGES[1:])) == 3
    assert len(TantivyIndex.build(tmp_path, PASSAGES)) == 4
    assert indexed == [0, 1, 0, 0, 1]


def test_an_index_ahead_of_its_list_is_built_anew(tmp_path: Path, indexed: list[int]) -> None:
    TantivyIndex.build(tmp_path, PASSAGES[:3])
    before = (tmp_path / module.WORDS / module.SEAL).read_bytes()
    TantivyIndex.build(tmp_path, PASSAGES)
    (tmp_path / module.WORDS / module.SEAL).write_bytes(before)  # as if killed between commit and list
    assert len(TantivyIndex.build(tmp_path, PASSAGES)) == 4
    assert indexed == [0, 1, 0, 1]


def test_an_unfinished_index_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="no usable search index"):
        TantivyIndex(tmp_path)
    TantivyIndex.build(tmp_path, PASSAGES)
    passage_store.write_texts(tmp_path, PASSAGES[:2])
    with pytest.raises(TmkdError, match="has 4 of 2 passages"):
        TantivyIndex(tmp_path)


def test_passages_that_came_without_their_words_are_indexed_once(tmp_path: Path, indexed: list[int]) -> None:
    before = TantivyIndex.build(tmp_path, PASSAGES).search("eggs", 3)
    seal = (tmp_path / module.WORDS / module.SEAL).read_bytes()
    shutil.rmtree(tmp_path / module.WORDS)
    indexed.clear()
    assert TantivyIndex(tmp_path).search("eggs", 3) == TantivyIndex(tmp_path).search("eggs", 3) == before
    assert indexed == [0, 1]
    assert (tmp_path / module.WORDS / module.SEAL).read_bytes() == seal


def test_the_best_passage_of_named_documents(index: TantivyIndex) -> None:
    found = index.best_of("running water minutes", ["tea", "nowhere", "eggs", "iron"])
    assert found == [2, None, 1, 3]
    assert index.best_of("?", ["eggs"]) == [0]


def test_an_index_without_passages_finds_nothing(tmp_path: Path) -> None:
    assert TantivyIndex.build(tmp_path / "index", []).search("eggs", 3) == []


def test_a_damaged_index_is_an_error_of_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    TantivyIndex.build(folder, PASSAGES)
    (folder / module.WORDS / "meta.json").write_bytes(b"rubbish")
    with pytest.raises(TmkdError, match="no usable search index"):
        TantivyIndex(folder)
    assert len(TantivyIndex.build(folder, PASSAGES)) == 4


def test_missing_tantivy_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def blocked(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "tantivy":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(TmkdError, match=r"pip install 'tmkd\[collect\]'"):
        TantivyIndex.build(tmp_path / "index", PASSAGES)


def test_an_index_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    def passages() -> Iterator[Passage]:
        yield PASSAGES[0]
        shutil.rmtree(tmp_path / "index")  # as good as a full disk: there is no place to write

    with pytest.raises(TmkdError, match="cannot be written"):
        TantivyIndex.build(tmp_path / "index", passages())
