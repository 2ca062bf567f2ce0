from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tmkd.collect import indexing
from tmkd.collect.documents import Document, to_document
from tmkd.collect.indexing import CACHE, collect_index
from tmkd.data.labels import LabelSet
from tmkd.engines.local import LocalEngine
from tmkd.errors import TmkdError
from tmkd.recipe.schema import CollectSpec
from tmkd.search.index import TantivyIndex
from tmkd.search.passage_store import Texts

LABELS = LabelSet("toy", ("no", "yes"), "yes")
SENTENCES = [
    "Boil the eggs for eight minutes and cool them under running water before you peel them.",
    "Green tea leaves want water that has cooled for some minutes, and they steep for two of them.",
    "Spinach, beans and lentils hold much iron, of which the body takes up a small part only.",
]


def page(number: int) -> str:
    text = " ".join(SENTENCES[number % 3 :] + SENTENCES[: number % 3])
    return f"<html><head><title>Page {number}</title></head><body><article><p>{text}</p></article></body></html>"


@pytest.fixture
def world(tmp_path: Path) -> Path:
    rows = [{"url": f"u{n}", "title": f"t{n}", "text": f"{text}\n\n{n} {n}"} for n, text in enumerate(SENTENCES)]
    (tmp_path / "pages.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "passages.tsv").write_text("passage\nIron pans cook eggs well.\n")
    (tmp_path / "site").mkdir()
    for number in range(3):
        (tmp_path / "site" / f"{number}.html").write_text(page(number))
    return tmp_path


def collect(world: Path, digest: str = "0", **settings: Any) -> dict[str, Any]:
    spec = CollectSpec.model_validate({"task": "toy", "questions": "q.txt", **settings})
    digests = {f"file {source.file}": digest for source in spec.documents}
    return collect_index("web", spec, LABELS, world / "out", world, lambda *_: None, LocalEngine(1), digests)


def passages(world: Path) -> list[tuple[str, str, str]]:
    return [Texts(world / "out")[number] for number in range(len(Texts(world / "out")))]


def test_documents_come_first_then_passages_each_its_own_document(world: Path) -> None:
    facts = collect(world, documents="pages.jsonl", passages="passages.tsv")
    assert (facts["documents"], facts["passages"]) == (3, 7)
    assert passages(world)[0] == ("u0", "t0", SENTENCES[0])
    assert passages(world)[1] == ("u0", "t0", "0 0")
    assert passages(world)[-1] == ("passages.tsv#1", "", "Iron pans cook eggs well.")
    assert TantivyIndex(world / "out").search("iron pans", 1)[0].url == "passages.tsv#1"


def test_short_passages_are_left_out_and_counted(world: Path) -> None:
    facts = collect(world, documents="pages.jsonl", shortest=3)
    assert facts["passages"] == 3
    assert facts["left_out"] == {"passages too short": 3}


def test_characters_count_as_words_where_there_are_no_spaces(world: Path) -> None:
    text = "因为空气分子散射的蓝光比红光多得多。"
    (world / "pages.jsonl").write_text(json.dumps({"url": "u", "text": text * 20}))
    assert collect(world, documents="pages.jsonl", shortest=8)["passages"] == 4
    assert TantivyIndex(world / "out").search("蓝光比红光", 1)[0].url == "u"


def test_nearly_repeated_pages_are_left_out_unless_near_is_off(world: Path) -> None:
    twin = {"url": "u9", "text": SENTENCES[0] + " "}
    (world / "pages.jsonl").write_text("\n".join(map(json.dumps, [{"url": "u0", "text": SENTENCES[0]}, twin])))
    assert collect(world, documents="pages.jsonl")["left_out"] == {"near-duplicate": 1}
    assert collect(world, documents="pages.jsonl", near=False)["documents"] == 2


def test_pages_are_read_once_as_long_as_their_file_is_the_same(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def noting(record: Any, language: str | None) -> Document | str:
        read.append(record.url)
        return to_document(record, language)

    monkeypatch.setattr(indexing, "to_document", noting)
    first = collect(world, documents="site", near=False)
    assert first["documents"] == len(read) == 3
    before = passages(world)
    assert collect(world, documents="site", near=False) == first
    assert passages(world) == before
    assert len(read) == 3
    collect(world, digest="1", documents="site", near=False)
    assert len(read) == 6
    assert len(list((world / "out" / CACHE).iterdir())) == 1  # what nobody asks for any more is gone


def test_a_killed_reading_of_pages_goes_on_where_it_was(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "_PIECE_RECORDS", 1)
    undisturbed = collect(world, documents="site", near=False)
    expected = passages(world)
    read: list[str] = []

    def dying(record: Any, language: str | None) -> Document | str:
        read.append(record.url)
        if len(read) == 2:
            raise KeyboardInterrupt
        return to_document(record, language)

    monkeypatch.setattr(indexing, "to_document", dying)
    with pytest.raises(KeyboardInterrupt):
        collect(world, digest="2", documents="site", near=False)
    assert collect(world, digest="2", documents="site", near=False) == undisturbed
    assert read == ["0.html", "1.html", "1.html", "2.html"]
    assert passages(world) == expected


def test_what_pages_are_no_documents_for_is_counted(world: Path) -> None:
    (world / "site" / "empty.html").write_text("<html><body></body></html>")
    facts = collect(world, documents="site", near=False)
    assert facts["documents"] == 3
    assert sum(facts["left_out"].values()) == 1


def test_processes_do_not_show(world: Path) -> None:
    one = collect(world, documents="site", near=False)
    expected = passages(world)
    spec = CollectSpec.model_validate({"task": "toy", "questions": "q.txt", "documents": "site", "near": False})
    two = collect_index("web", spec, LABELS, world / "two", world, lambda *_: None, LocalEngine(2), {"file site": "0"})
    assert two == one
    assert [tuple(Texts(world / "two")[number]) for number in range(len(expected))] == expected


def test_no_passages_are_an_error(world: Path) -> None:
    with pytest.raises(TmkdError, match=r"index web: no passages in its documents \(6 × passages too short\)"):
        collect(world, documents="pages.jsonl", shortest=99)


def test_given_passages_of_two_files_are_documents_of_their_own_and_come_once(world: Path) -> None:
    (world / "more").mkdir()
    (world / "more" / "passages.tsv").write_text("docid\tpassage\n\tIron pans cook eggs well.\n\tTea.\nd9\tPlums.\n")
    facts = collect(world, passages=["passages.tsv", "more/passages.tsv"])
    assert passages(world) == [
        ("passages.tsv#1", "", "Iron pans cook eggs well."),
        ("passages.tsv#3", "", "Tea."),
        ("d9", "", "Plums."),
    ]
    assert facts["left_out"] == {"same passage": 1}


def test_large_pages_make_small_pieces_of_work(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "_PIECE_BYTES", 1)
    whole = collect(world, documents="site", near=False)
    assert whole["documents"] == 3
    assert len(list((world / "out" / CACHE).rglob("*.parquet"))) == 3


def test_a_run_chooses_among_the_ids_of_documents_and_of_passages(world: Path) -> None:
    rows = [f"D{n}\thttps://x/{n}\tt\t{text}\n" for n, text in enumerate(SENTENCES)]
    (world / "msmarco.tsv").write_text("".join(rows))
    texts = [{"pid": f"p{n}", "passage": text, "docid": "d"} for n, text in enumerate(SENTENCES)]
    (world / "v2.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    (world / "some.run").write_text("q Q0 D1 1 2 x\nq Q0 d 2 1 x\n")
    documents = {"file": "msmarco.tsv", "header": ["docid", "url", "title", "body"]}
    collect(world, documents=documents, passages="v2.jsonl", run="some.run")
    assert {url for url, _, _ in passages(world)} == {"D0", "D1", "D2", "d"}
    collect(world, documents=documents, passages="v2.jsonl")
    assert {url for url, _, _ in passages(world)} == {"https://x/0", "https://x/1", "https://x/2", "p0", "p1", "p2"}
