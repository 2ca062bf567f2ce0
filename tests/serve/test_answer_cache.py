"""The cache: one entry for all spellings of a question, the oldest leaves first."""

from __future__ import annotations

from tmkd.serve.answer_cache import AnswerCache, Kept


def kept(number: int) -> Kept:
    return Kept(((number, 0.5),), 10)


def test_spellings_of_a_question_share_an_entry() -> None:
    cache = AnswerCache("origin")
    assert cache.get("Why is the sky BLUE?") is None
    cache.put("why is the sky blue", kept(1))
    assert cache.get("Why is the sky BLUE?") == kept(1)
    assert (cache.hits, cache.misses) == (1, 1)


def test_another_origin_has_other_answers() -> None:
    cache = AnswerCache("origin")
    cache.put("why", kept(1))
    cache.origin = "another bundle"
    assert cache.get("why") is None


def test_the_least_recently_asked_leaves_first() -> None:
    cache = AnswerCache("origin", entries=2)
    cache.put("one", kept(1))
    cache.put("two", kept(2))
    cache.get("one")
    cache.put("three", kept(3))
    assert [cache.get(one) is None for one in ("one", "two", "three")] == [False, True, False]
