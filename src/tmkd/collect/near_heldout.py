"""Whether a text says nearly the same as one of a few held-out texts: the near part of the leakage guard."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable

# What two wordings of one question differ in: articles and the forms of be, do and have.
_LITTLE = frozenset("a an the is are was were be been am do does did has have had s of".split())  # noqa: SIM905
_WORD = re.compile(r"[^\W_]+")
_ALIKE = 0.8  # Jaccard index of two questions' words from which they ask the same
_SHINGLE = 4  # words in a row; two passages rarely share four by chance
_SHARED = 0.5  # share of the shorter passage's shingles from which it is in the other
_LEAST = 4  # shingles that passages must share, unless they have all the same: a phrase alone is no passage


def keyword_set(question: str) -> frozenset[str]:
    """A question's words without order, case, plural s and little words: equal for two wordings of one question.

    All of its words where nothing else is left, the question itself where it has none.
    """
    words = _WORD.findall(question.lower())
    kept = frozenset(_singular(word) for word in words if word not in _LITTLE)
    return kept or frozenset(words) or frozenset([question])


class LikeQuestions:
    """Held-out questions; `in` says whether a question has nearly the same gist as one of them.

    Nearly: four fifths of all the words that either has. Two sets so alike share one of their few rarest words, so only
    those are looked up.
    """

    def __init__(self, questions: Iterable[str]) -> None:
        gists = {keyword_set(question) for question in questions}
        self._common = Counter(word for words in gists for word in words)
        self._by_word: dict[str, list[frozenset[str]]] = defaultdict(list)
        for words in gists:
            for word in self._rarest(words):
                self._by_word[word].append(words)

    def __contains__(self, question: str) -> bool:
        words = keyword_set(question)
        return any(
            len(words & other) >= _ALIKE * len(words | other)
            for word in self._rarest(words)
            for other in self._by_word.get(word, ())
        )

    def _rarest(self, words: frozenset[str]) -> list[str]:
        """So many of the rarest words that a set alike must have one of them."""
        ordered = sorted(words, key=lambda word: (self._common[word], word))
        return ordered[: len(words) - math.ceil(_ALIKE * len(words)) + 1]


class LikePassages:
    """Held-out passages; `in` says whether a passage and one of them hold each other's words in a row.

    At least half of the shorter one's runs of four words must be in the other, and four of them, or all of both:
    passages cut at other borders are found, a phrase that many passages have is not enough.
    """

    def __init__(self, passages: Iterable[str]) -> None:
        self._sizes: list[int] = []
        self._by_run: dict[int, list[int]] = defaultdict(list)
        for runs in {frozenset(_runs(passage)) for passage in passages}:
            for run in runs:
                self._by_run[run].append(len(self._sizes))
            self._sizes.append(len(runs))

    def __contains__(self, passage: str) -> bool:
        runs = _runs(passage)
        shared = Counter(place for run in runs for place in self._by_run.get(run, ()))
        return any(
            count == len(runs) == self._sizes[place]
            or count >= max(_LEAST, _SHARED * min(len(runs), self._sizes[place]))
            for place, count in shared.items()
        )


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _runs(passage: str) -> set[int]:
    """Every run of four words, as a number; fewer words make one run."""
    words = _WORD.findall(passage.lower())
    last = max(len(words) - _SHINGLE, 0) + 1 if words else 0
    return {hash(tuple(words[start : start + _SHINGLE])) for start in range(last)}
