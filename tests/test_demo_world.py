"""The demo world keeps what it promises: enough of it, varied questions, splits that do not touch."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

DEMO = Path(__file__).parent.parent / "demo"
Rows = list[dict[str, str]]


def rows(name: str) -> Rows:
    with (DEMO / f"{name}.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def by_question(split: Rows) -> dict[str, Rows]:
    found: dict[str, Rows] = defaultdict(list)
    for row in split:
        found[row["qid"]].append(row)
    return found


SPLITS = {name: rows(name) for name in ("train", "dev", "test")}
TEST, TOP10 = by_question(SPLITS["test"]), rows("top10")
PAGE_OF = {
    paragraph: page["url"]
    for page in map(json.loads, (DEMO / "pages.jsonl").read_text().splitlines())
    for paragraph in page["text"].split("\n\n")
}
LABELLED = [row["question"] for split in SPLITS.values() for row in {row["qid"]: row for row in split}.values()]
UNLABELLED = [row["question"] for row in rows("questions")]


def test_there_is_enough_of_it() -> None:
    pages = [json.loads(line) for line in (DEMO / "pages.jsonl").read_text().splitlines()]
    assert len({page["url"] for page in pages}) == len(pages) >= 120
    assert all(2 <= len(page["text"].split("\n\n")) <= 4 for page in pages)
    assert len(LABELLED) >= 450
    assert len(set(UNLABELLED)) == len(UNLABELLED) >= 1000
    assert len({row["qid"] for row in TOP10}) >= 150
    assert len(SPLITS["train"]) <= 1200


def test_a_fifth_of_the_questions_is_three_fifths_of_the_traffic() -> None:
    counts = sorted((int(row["count"]) for row in rows("questions")), reverse=True)
    assert sum(counts[: len(counts) // 5]) == pytest.approx(0.6 * sum(counts), rel=0.1)


def test_every_question_has_an_answer() -> None:
    for split in SPLITS.values():
        assert {row["qid"] for row in split} == {row["qid"] for row in split if row["label"] == "yes"}


def test_passages_are_paragraphs_of_the_pages() -> None:
    assert {row["passage"] for split in (*SPLITS.values(), TOP10) for row in split} <= PAGE_OF.keys()


def test_every_top_ten_has_its_answers_and_their_pages_and_a_search_alone_does_not_solve_it() -> None:
    ranks = []
    answers = {qid: {row["passage"] for row in test if row["label"] == "yes"} for qid, test in TEST.items()}
    for qid, listed in by_question(TOP10).items():
        assert {row["passage"] for row in listed if row["label"] == "yes"} == answers[qid]
        assert 4 <= len({row["passage"] for row in listed}) == len(listed) <= 10
        pages = {PAGE_OF[passage] for passage in answers[qid]}
        assert sum(PAGE_OF[row["passage"]] in pages for row in listed) >= 2
        ranks.append(1 + next(place for place, row in enumerate(listed) if row["label"] == "yes"))
    assert len(ranks) == len(answers)
    assert sum(1 / rank for rank in ranks) / len(ranks) == pytest.approx(0.77, abs=0.005)
    assert sum(rank == 1 for rank in ranks) / len(ranks) == pytest.approx(0.69, abs=0.005)


@pytest.mark.parametrize("questions", [LABELLED, UNLABELLED], ids=["labelled", "unlabelled"])
def test_no_opening_of_three_words_is_common(questions: list[str]) -> None:
    openings = Counter(" ".join(words(question)[:3]) for question in questions)
    assert openings.most_common(1)[0][1] <= 0.05 * len(questions)


def test_a_question_and_its_answer_share_at_most_half_of_the_words() -> None:
    shares = [
        len(asked & set(words(row["passage"]))) / len(asked)
        for split in SPLITS.values()
        for row in split
        if row["label"] == "yes"
        for asked in [set(words(row["question"]))]
    ]
    assert sum(shares) / len(shares) <= 0.5


def test_no_passage_and_no_near_duplicate_question_is_in_two_splits() -> None:
    passages: dict[str, set[str]] = defaultdict(set)
    for name, split in SPLITS.items():
        for row in split:
            passages[row["passage"]].add(name)
    assert all(len(names) == 1 for names in passages.values())
    asked = {name: [frozenset(words(q)) for q in {row["question"] for row in split}] for name, split in SPLITS.items()}
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        for a in asked[one]:
            assert all(len(a & b) <= 0.7 * len(a | b) for b in asked[other])
