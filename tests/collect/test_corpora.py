from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tmkd.collect import corpora
from tmkd.collect.corpora import collect_corpus
from tmkd.collect.guard import Guard
from tmkd.errors import TmkdError
from tmkd.pairs import Corpus, LabelSet, pair_table
from tmkd.recipe import Gather

LABELS = LabelSet("toy", ("no", "yes"), "yes")
PAGES = [
    {"url": "u/eggs", "title": "Eggs", "text": "Cook eggs for eight minutes.\n\nCool eggs under water."},
    {"url": "u/tea", "title": "Tea", "text": "Steep tea for two minutes."},
    {"url": "u/iron", "title": "Iron", "text": "Spinach and beans have iron."},
]
QUESTIONS = ["how long to cook eggs", "How long to cook EGGS?", "tea minutes", "iron in beans", "zzz"]


@pytest.fixture
def world(tmp_path: Path) -> Path:
    (tmp_path / "pages.jsonl").write_text("\n".join(map(json.dumps, PAGES)))
    (tmp_path / "questions.txt").write_text("\n".join(QUESTIONS))
    (tmp_path / "passages.tsv").write_text("passage\nIron pans cook eggs well.\n")
    (tmp_path / "pairs.tsv").write_text(
        "question\tpassage\nis tea hot\tTea is hot.\niron in beans\tSpinach and beans have iron.\n"
    )
    return tmp_path


def gather(**settings: Any) -> Gather:
    files = {"documents": "pages.jsonl", "questions": "questions.txt", "passages": "passages.tsv"}
    return Gather.model_validate({"task": "toy", **files, **settings})


def collect(world: Path, recipe: Gather, guard: Guard | None = None) -> tuple[Corpus, dict[str, Any]]:
    told: list[tuple[int, int]] = []
    facts = collect_corpus(
        "web", recipe, LABELS, guard or Guard.of([]), world / "out", world, lambda *place: told.append(place)
    )
    assert all(0 < done <= total for done, total in told)
    return Corpus.open(world / "out"), facts


def rows(corpus: Corpus) -> list[tuple[Any, ...]]:
    columns = corpus.table().to_pydict()
    return list(zip(*(columns[name] for name in ("question", "passage", "url", "rank")), strict=True))


def test_questions_get_the_best_passage_of_each_document(world: Path) -> None:
    corpus, facts = collect(world, gather())
    eggs = [row for row in rows(corpus) if row[0] == "how long to cook eggs"]
    assert eggs[0] == ("how long to cook eggs", "Cook eggs for eight minutes.", "u/eggs", 1)
    assert ("how long to cook eggs", "Iron pans cook eggs well.", "passages.tsv#1", 2) in eggs
    assert len({url for _, _, url, _ in eggs}) == len(eggs)
    table = corpus.table()
    assert table["label"].null_count == len(corpus) == facts["pairs"] == facts["found_pairs"]
    assert set(table["source"].to_pylist()) == {"questions.txt"}
    assert all(score > 0 for score in table["score"].to_pylist())
    assert facts["questions"] == 5
    assert facts["question_duplicates"] == 1
    assert facts["questions_without_passages"] == 1
    assert facts["passages"] == 5


def test_top_limits_the_documents(world: Path) -> None:
    corpus, _ = collect(world, gather(top=1))
    assert [rank for _, _, _, rank in rows(corpus)] == [1, 1, 1]


def test_given_pairs_come_first_and_once(world: Path) -> None:
    corpus, facts = collect(world, gather(pairs="pairs.tsv"))
    found = rows(corpus)
    assert found[0] == ("is tea hot", "Tea is hot.", None, None)
    assert found[1] == ("iron in beans", "Spinach and beans have iron.", None, None)
    assert len({row[:2] for row in found}) == len(found)
    assert facts["given_pairs"] == 2


def test_pairs_alone_need_no_index(world: Path) -> None:
    corpus, _ = collect(world, Gather.model_validate({"task": "toy", "pairs": "pairs.tsv"}))
    assert len(corpus) == 2
    assert not (world / "out" / corpora.INDEX).exists()


def test_whole_questions_up_to_the_limit_and_given_pairs_always(world: Path) -> None:
    everything = rows(collect(world, gather(pairs="pairs.tsv"))[0])
    for limit in range(1, len(everything) + 1):
        corpus, _ = collect(world, gather(pairs="pairs.tsv", limit=limit))
        kept = rows(corpus)
        assert kept == everything[: len(kept)]  # the same order, cut
        assert len(kept) <= max(limit, 2)
        assert len(kept) == len(everything) or kept[-1][0] != everything[len(kept)][0]  # never in a question
    assert len(kept) == len(everything)


def test_the_seed_draws_the_order(world: Path) -> None:
    orders = {tuple(dict.fromkeys(row[0] for row in rows(collect(world, gather(seed=seed))[0]))) for seed in range(8)}
    assert len(orders) > 1
    assert len({frozenset(order) for order in orders}) == 1


def test_nothing_of_dev_or_test_comes_in(world: Path) -> None:
    held_out = pair_table(["Tea; minutes", "is tea hot"], ["cook eggs for eight minutes", "tea is hot"])
    corpus, facts = collect(world, gather(pairs="pairs.tsv"), Guard.of([held_out]))
    assert not {"tea minutes", "is tea hot"} & {row[0] for row in rows(corpus)}
    assert "Cook eggs for eight minutes." not in {row[1] for row in rows(corpus)}
    assert facts["leaked_questions"] == facts["leaked_passages"] == 1
    assert facts["given_leaked_pairs"] == facts["given_leaked_removed"] == 1


def test_the_index_is_found_again_and_the_bytes_are_the_same(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, facts = collect(world, gather(pairs="pairs.tsv"))
    monkeypatch.setattr(corpora, "read_documents", lambda *_: pytest.fail("built again"))
    again, same = collect(world, gather(pairs="pairs.tsv"))
    assert (again.digest, same) == (first.digest, facts)


def test_a_changed_file_of_passages_builds_the_index_anew(world: Path) -> None:
    collect(world, gather())
    (world / "passages.tsv").write_text("passage\nZzz is sleep.\n")
    corpus, _ = collect(world, gather())
    assert "Zzz is sleep." in {row[1] for row in rows(corpus)}


def test_chunks_of_questions_do_not_show(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = collect(world, gather(limit=7))
    monkeypatch.setattr(corpora, "_QUESTIONS_AT_ONCE", 1)
    assert collect(world, gather(limit=7))[0].digest == whole.digest


def test_no_pairs_is_an_error(world: Path) -> None:
    (world / "questions.txt").write_text("zzz\n")
    with pytest.raises(TmkdError, match="collect web: no pairs"):
        collect(world, gather())


def test_a_missing_file_is_named(world: Path) -> None:
    with pytest.raises(TmkdError, match=r"none\.jsonl"):
        collect(world, gather(documents="none.jsonl"))
