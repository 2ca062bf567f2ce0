"""Overlaps of a labelled file with training pairs: the same pairs, questions and passages, and near ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from tmkd.collect.near_heldout import NearPassages, NearQuestions
from tmkd.data.words import text_key


@dataclass(frozen=True, slots=True)
class Overlap:
    """Counts of a file's pairs that training pairs of `corpus` share, compared as the leakage guard compares texts.

    `pairs` share both texts, `questions` and `passages` one (or both). `near` have neither text there, but a
    near-duplicate of one; None where these were not looked for.
    """

    corpus: str
    of: int
    pairs: int
    questions: int
    passages: int
    near: int | None

    def __str__(self) -> str:
        near = "" if self.near is None else f", {self.near:,} more have a near-duplicate"
        return (
            f"overlap with {self.corpus}: of {self.of:,} pairs, {self.pairs:,} are there, {self.questions:,} have a "
            f"question of it, {self.passages:,} a passage{near}"
        )


def overlap(table: pa.Table, corpus: str, tables: Iterable[pa.Table], *, near: bool) -> Overlap:
    """Compare a file's pairs (pairs.SCHEMA) with a training corpus, read a table at a time.

    `near` holds all texts of the corpus in memory (about 1 KB a passage): for labelled pairs, not for millions.
    """
    keys = [_keys(*texts) for texts in _texts(table)]
    first, second = ({one[place] for one in keys} for place in (0, 1))
    questions, passages, pairs = set[str](), set[str](), set[tuple[str, str]]()
    texts: dict[tuple[str, str], None] = {}
    for part in tables:
        for question, passage in _texts(part):
            one, other = _keys(question, passage)
            shared = one in first, other in second
            if shared[0]:
                questions.add(one)
            if shared[1]:
                passages.add(other)
            if all(shared):
                pairs.add((one, other))
            if near:
                texts[question, passage] = None
    return Overlap(
        corpus,
        len(keys),
        sum(pair in pairs for pair in keys),
        sum(question in questions for question, _ in keys),
        sum(passage in passages for _, passage in keys),
        _near(table, keys, questions, passages, texts) if near else None,
    )


def _near(
    table: pa.Table,
    keys: list[tuple[str, str]],
    questions: set[str],
    passages: set[str],
    texts: Iterable[tuple[str, str]],
) -> int:
    """Number of pairs of a table without a shared text of which one text is nearly one of `texts`."""
    trained = list(texts)
    near_questions = NearQuestions(question for question, _ in trained)
    near_passages = NearPassages(passage for _, passage in trained)
    return sum(
        question in near_questions or passage in near_passages
        for (question, passage), (one, other) in zip(_texts(table), keys, strict=True)
        if one not in questions and other not in passages
    )


def _keys(question: str, passage: str) -> tuple[str, str]:
    return text_key(question), text_key(passage)


def _texts(table: pa.Table) -> Iterable[tuple[str, str]]:
    return zip(table["question"].to_pylist(), table["passage"].to_pylist(), strict=True)
