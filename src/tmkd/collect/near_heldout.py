"""Near-duplicates of held-out questions and passages, for the leakage guard."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

from tmkd.data.words import words

# Two wordings of one question often differ only in these: articles and forms of be, do and have.
_FUNCTION_WORDS = frozenset("a an the is are was were be been am do does did has have had s of".split())  # noqa: SIM905
_MIN_JACCARD = 0.8  # Jaccard index of two questions' keyword sets from which they count as the same question
_SHINGLE_WORDS = 4  # two passages rarely share four consecutive words by chance
_MIN_SHARED_FRACTION = 0.5  # share of the shorter passage's shingles from which it is contained in the other
_MIN_SHARED_SHINGLES = 4  # unless all are shared; fewer are a common phrase


def keyword_set(question: str) -> frozenset[str]:
    """Keywords of a question: lower case, without plural s and function words; equal for two wordings of one question.

    All of its words if only function words are left; the question itself if it has no words.
    """
    found = words(question)
    kept = frozenset(_singular(word) for word in found if word not in _FUNCTION_WORDS)
    return kept or frozenset(found) or frozenset([question])


class NearQuestions:
    """Held-out questions; `in` is True for a question whose keyword set is similar to one of theirs.

    Similar: a Jaccard index of at least 0.8. Two such sets share one of their few rarest words (prefix filtering), so
    only these are indexed.
    """

    def __init__(self, questions: Iterable[str]) -> None:
        keyword_sets = {keyword_set(question) for question in questions}
        self._common = Counter(word for keywords in keyword_sets for word in keywords)
        self._by_word: dict[str, list[frozenset[str]]] = defaultdict(list)
        for keywords in keyword_sets:
            for word in self._rarest(keywords):
                self._by_word[word].append(keywords)

    def __contains__(self, question: str) -> bool:
        keywords = keyword_set(question)
        return any(
            len(keywords & other) >= _MIN_JACCARD * len(keywords | other)
            for word in self._rarest(keywords)
            for other in self._by_word.get(word, ())
        )

    def _rarest(self, keywords: frozenset[str]) -> list[str]:
        """The rarest words, as many as needed for every similar set to have one of them."""
        ordered = sorted(keywords, key=lambda word: (self._common[word], word))
        return ordered[: len(keywords) - math.ceil(_MIN_JACCARD * len(keywords)) + 1]


class NearPassages:
    """Held-out passages; `in` is True for a passage that overlaps one of them.

    Overlap: the two share at least four shingles of four words and half of the shorter one's, or all of both. This
    finds passages cut at other borders, and ignores phrases that many passages have.
    """

    def __init__(self, passages: Iterable[str]) -> None:
        self._sizes: list[int] = []
        self._by_shingle: dict[int, list[int]] = defaultdict(list)
        for shingles in {frozenset(_shingles(passage)) for passage in passages}:
            for shingle in shingles:
                self._by_shingle[shingle].append(len(self._sizes))
            self._sizes.append(len(shingles))

    def __contains__(self, passage: str) -> bool:
        shingles = _shingles(passage)
        shared = Counter(place for shingle in shingles for place in self._by_shingle.get(shingle, ()))
        return any(
            count == len(shingles) == self._sizes[place]
            or count >= max(_MIN_SHARED_SHINGLES, _MIN_SHARED_FRACTION * min(len(shingles), self._sizes[place]))
            for place, count in shared.items()
        )


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _shingles(passage: str) -> set[int]:
    """Hashes of all shingles of four words; a shorter passage is one shingle."""
    found = words(passage)
    last = max(len(found) - _SHINGLE_WORDS, 0) + 1 if found else 0
    return {hash(tuple(found[start : start + _SHINGLE_WORDS])) for start in range(last)}
