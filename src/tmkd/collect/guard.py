"""Leakage guard: training data shares no question, passage or pair with dev and test sets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

import pyarrow as pa

from tmkd.collect.near_heldout import NearPassages, NearQuestions
from tmkd.data.words import text_key
from tmkd.errors import TmkdError

Kind = Literal["qa", "nli"]


@dataclass(frozen=True)
class Guard:
    """Texts of dev and test sets by their `text_key`; `pairs` maps the keys of both texts to the pair's source.

    `texts` are the (question, passage) texts themselves for near-duplicate detection; empty where it is off.
    """

    questions: frozenset[str]
    passages: frozenset[str]
    pairs: dict[tuple[str, str], str]
    texts: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, tables: Iterable[pa.Table], nli: Iterable[pa.Table] = (), *, near: bool = False) -> Self:
        """Build a guard from dev and test sets (pairs.SCHEMA); of the `nli` ones only whole pairs are guarded.

        With `near` it also detects near-duplicates of their questions and passages.
        """
        tables = list(tables)
        pairs = _pair_sources(tables)
        first, second = (frozenset(both[place] for both in pairs) for place in (0, 1))
        texts = tuple(both for table in tables for both in _texts(table)) if near else ()
        return cls(first, second, _pair_sources(nli) | pairs, texts)

    @cached_property
    def _near_questions(self) -> NearQuestions:
        return NearQuestions(question for question, _ in self.texts)

    @cached_property
    def _near_passages(self) -> NearPassages:
        return NearPassages(passage for _, passage in self.texts)

    def near_question(self, text: str) -> bool:
        """True for a near-duplicate of a dev or test question; always False without `near`."""
        return bool(self.texts) and text in self._near_questions

    def near_passage(self, text: str) -> bool:
        """True for a passage that overlaps a dev or test passage; always False without `near`."""
        return bool(self.texts) and text in self._near_passages

    def shares_question(self, text: str) -> bool:
        """True for a question (premise) of a dev or test set."""
        return text_key(text) in self.questions

    def shares_passage(self, text: str) -> bool:
        """True for a passage (hypothesis) of a dev or test set."""
        return text_key(text) in self.passages

    def clean(self, table: pa.Table, kind: Kind, *, golden: bool = False) -> tuple[pa.Table, dict[str, int]]:
        """Remove the training rows that leak dev or test texts, and count them.

        Q&A: a row with a shared question or passage is removed, with `near` also one that nearly has such a text. NLI:
        a shared premise is only counted, a shared pair is removed. Counts of rows: `questions`, `passages`, `pairs`
        shared, `premises` shared (NLI), `near_questions` and `near_passages` of rows that share nothing (Q&A, with
        `near`), and `removed`; a row may be in several.
        Raises: TmkdError naming the first shared pair when the rows are `golden`: one of the two files is wrong then.
        """
        kept: list[int] = []
        near = ("near_questions", "near_passages") if self.texts and kind == "qa" else ()
        counts = dict.fromkeys(("questions", "passages", "premises", "pairs", *near), 0)
        for row, (question, passage) in enumerate(_texts(table)):
            first, second = text_key(question), text_key(passage)
            pair = (first, second) in self.pairs
            if pair and golden:
                raise TmkdError(_leak(table, row, self.pairs[first, second]))
            shares = first in self.questions, second in self.passages
            counts["pairs"] += pair
            counts["questions"] += shares[0] and kind == "qa"
            counts["passages"] += shares[1] and kind == "qa"
            counts["premises"] += shares[0] and kind == "nli"
            leaks = pair or (kind == "qa" and any(shares))
            if near and not leaks:
                nearly = self.near_question(question), self.near_passage(passage)
                counts["near_questions"] += nearly[0]
                counts["near_passages"] += nearly[1]
                leaks = any(nearly)
            if not leaks:
                kept.append(row)
        counts["removed"] = table.num_rows - len(kept)
        return table.take(pa.array(kept, pa.int64())), counts


def _pair_sources(tables: Iterable[pa.Table]) -> dict[tuple[str, str], str]:
    """Map both keys of every pair to its first source."""
    pairs: dict[tuple[str, str], str] = {}
    for table in tables:
        for (question, passage), source in zip(_texts(table), table["source"].to_pylist(), strict=True):
            pairs.setdefault((text_key(question), text_key(passage)), source)
    return pairs


def _texts(table: pa.Table) -> Iterable[tuple[str, str]]:
    return zip(table["question"].to_pylist(), table["passage"].to_pylist(), strict=True)


def _leak(table: pa.Table, row: int, held_out: str) -> str:
    texts = (" ".join(table[name][row].as_py().split()) for name in ("question", "passage"))
    question, passage = (text if len(text) <= 60 else f"{text[:59]}…" for text in texts)
    return (
        f"{table['source'][row].as_py()}: a training pair is in {held_out} too: '{question}' / '{passage}'; "
        "remove it from one of the two"
    )
