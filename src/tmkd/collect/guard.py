"""The leakage guard: what a model trains on shares no question, passage or pair with what it is measured on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

import pyarrow as pa

from tmkd.collect.near_heldout import LikePassages, LikeQuestions
from tmkd.data.pairs import normalised
from tmkd.errors import TmkdError

Kind = Literal["qa", "nli"]


@dataclass(frozen=True)
class Guard:
    """The texts of dev and test sets, each by its key (`key`); `pairs` maps both keys to the source they are from.

    `texts` are the questions and passages themselves, for near-duplicates; none where only equal texts count.
    """

    questions: frozenset[str]
    passages: frozenset[str]
    pairs: dict[tuple[str, str], str]
    texts: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, tables: Iterable[pa.Table], nli: Iterable[pa.Table] = (), *, near: bool = False) -> Self:
        """A guard over the pairs (pairs.SCHEMA) of all dev and test sets; of `nli` ones, over whole pairs only.

        With `near` it also tells questions and passages that are nearly one of theirs.
        """
        tables = list(tables)
        pairs = _places(tables)
        first, second = (frozenset(both[place] for both in pairs) for place in (0, 1))
        texts = tuple(both for table in tables for both in _texts(table)) if near else ()
        return cls(first, second, _places(nli) | pairs, texts)

    @cached_property
    def _like_questions(self) -> LikeQuestions:
        return LikeQuestions(question for question, _ in self.texts)

    @cached_property
    def _like_passages(self) -> LikePassages:
        return LikePassages(passage for _, passage in self.texts)

    def near_question(self, text: str) -> bool:
        """Whether a dev or test set asks nearly this, when the guard looks for that."""
        return bool(self.texts) and text in self._like_questions

    def near_passage(self, text: str) -> bool:
        """Whether a dev or test set has nearly this passage, or a good part of it, when the guard looks for that."""
        return bool(self.texts) and text in self._like_passages

    def shares_question(self, text: str) -> bool:
        """Whether a dev or test set has this question (premise)."""
        return key(text) in self.questions

    def shares_passage(self, text: str) -> bool:
        """Whether a dev or test set has this passage (hypothesis)."""
        return key(text) in self.passages

    def clean(self, table: pa.Table, kind: Kind, *, golden: bool = False) -> tuple[pa.Table, dict[str, int]]:
        """Remove the rows of training material that touch dev or test, and count them.

        Q&A: every row with a shared question or passage goes. NLI: a shared premise is counted and stays, a shared pair
        goes. Counts are of rows: `questions`, `passages`, `pairs` shared (a row may be in several), `premises` shared
        (NLI), `near` (Q&A: nothing of these, but nearly; only of a guard that looks for it), and `removed`.
        Raises: TmkdError naming the first shared pair, when the rows are `golden`: then one of two files is wrong.
        """
        kept: list[int] = []
        counts = dict.fromkeys(("questions", "passages", "premises", "pairs", *(("near",) if self.texts else ())), 0)
        for row, (question, passage) in enumerate(_texts(table)):
            first, second = key(question), key(passage)
            pair = (first, second) in self.pairs
            if pair and golden:
                raise TmkdError(_leak(table, row, self.pairs[first, second]))
            shares = first in self.questions, second in self.passages
            counts["pairs"] += pair
            counts["questions"] += shares[0] and kind == "qa"
            counts["passages"] += shares[1] and kind == "qa"
            counts["premises"] += shares[0] and kind == "nli"
            leaks = pair or (kind == "qa" and any(shares))
            near = kind == "qa" and not leaks and (self.near_question(question) or self.near_passage(passage))
            if near:
                counts["near"] += 1
            if not leaks and not near:
                kept.append(row)
        counts["removed"] = table.num_rows - len(kept)
        return table.take(pa.array(kept, pa.int64())), counts


def _places(tables: Iterable[pa.Table]) -> dict[tuple[str, str], str]:
    """Both keys of every pair, and the source that it is first from."""
    pairs: dict[tuple[str, str], str] = {}
    for table in tables:
        for (question, passage), source in zip(_texts(table), table["source"].to_pylist(), strict=True):
            pairs.setdefault((key(question), key(passage)), source)
    return pairs


def key(text: str) -> str:
    """What two texts share when the guard takes them for one: letters and digits, or all of a text without any."""
    return normalised(text) or text


def _texts(table: pa.Table) -> Iterable[tuple[str, str]]:
    return zip(table["question"].to_pylist(), table["passage"].to_pylist(), strict=True)


def _leak(table: pa.Table, row: int, held_out: str) -> str:
    texts = (" ".join(table[name][row].as_py().split()) for name in ("question", "passage"))
    question, passage = (text if len(text) <= 60 else f"{text[:59]}…" for text in texts)
    return (
        f"{table['source'][row].as_py()}: a training pair is in {held_out} too: '{question}' / '{passage}'; "
        "remove it from one of the two"
    )
