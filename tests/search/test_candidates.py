from __future__ import annotations

from collections import Counter

from tmkd.search.candidates import Candidate, candidates, draw
from tmkd.search.index import Hit


class Engine:
    """A search engine that always finds the same."""

    def __init__(self, *found: tuple[str, str]) -> None:
        self.hits = [Hit(url, passage, rank, 10.0 - rank, 100 + rank) for rank, (url, passage) in enumerate(found, 1)]

    def search(self, question: str, documents: int) -> list[Hit]:
        return self.hits


def test_each_document_gives_its_best_passage() -> None:
    engine = Engine(("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3"), ("c", "c1"))
    assert candidates(engine, "q") == [
        Candidate("q", "a1", "a", 1, 9.0, 101),
        Candidate("q", "b1", "b", 2, 7.0, 103),
        Candidate("q", "c1", "c", 3, 5.0, 105),
    ]


def test_at_most_top_of_them() -> None:
    engine = Engine(*((f"u{number}", f"p{number}") for number in range(9)))
    assert [candidate.rank for candidate in candidates(engine, "q", top=3)] == [1, 2, 3]


def test_a_passage_on_two_pages_is_one_candidate() -> None:
    found = candidates(Engine(("a", "same"), ("b", "same"), ("b", "other")), "q")
    assert [(candidate.url, candidate.passage) for candidate in found] == [("a", "same"), ("b", "other")]


def test_drawn_candidates_keep_their_order_and_low_ranks_are_rarer() -> None:
    found = [
        [Candidate(f"q{number}", f"p{rank}", f"u{rank}", rank, 1 / rank, rank) for rank in range(1, 5)]
        for number in range(600)
    ]
    ranks = [[one.rank for one in draw(each, 2, seed=1)] for each in found]
    assert all(first < second for first, second in ranks)
    # One draw alone: rank r in proportion to 1/r, so 12, 6, 4 and 3 of 25; 600 draws, within three deviations.
    first = Counter(draw(each, 1, seed=1)[0].rank for each in found)
    assert all(abs(first[rank] - 600 * 12 / rank / 25) < 36 for rank in range(1, 5))
    assert draw(found[0], 9, seed=1) == found[0]
    assert [draw(each, 2, seed=2) for each in found] != [draw(each, 2, seed=1) for each in found]
