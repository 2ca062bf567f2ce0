"""The leakage guard: what a model trains on shares no question, passage or pair with what it is measured on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

import pyarrow as pa

from tmkd.errors import TmkdError
from tmkd.pairs import normalised

Kind = Literal["qa", "nli"]


@dataclass(frozen=True)
class Guard:
    """The texts of dev and test sets, each by its key (`key`); `pairs` maps both keys to the source they are from."""

    questions: frozenset[str]
    passages: frozenset[str]
    pairs: dict[tuple[str, str], str]

    @classmethod
    def of(cls, tables: Iterable[pa.Table], nli: Iterable[pa.Table] = ()) -> Self:
        """A guard over the pairs (pairs.SCHEMA) of all dev and test sets; of `nli` ones, over whole pairs only."""
        pairs = _places(tables)
        first, second = (frozenset(both[place] for both in pairs) for place in (0, 1))
        return cls(first, second, _places(nli) | pairs)

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
        (NLI), and `removed`.
        Raises: TmkdError naming the first shared pair, when the rows are `golden`: then one of two files is wrong.
        """
        kept: list[int] = []
        counts = dict.fromkeys(("questions", "passages", "premises", "pairs"), 0)
        for row, (first, second) in enumerate(_keys(table)):
            pair = (first, second) in self.pairs
            if pair and golden:
                raise TmkdError(_leak(table, row, self.pairs[first, second]))
            question, passage = first in self.questions, second in self.passages
            counts["pairs"] += pair
            counts["questions"] += question and kind == "qa"
            counts["passages"] += passage and kind == "qa"
            counts["premises"] += question and kind == "nli"
            if not pair and not (kind == "qa" and (question or passage)):
                kept.append(row)
        counts["removed"] = table.num_rows - len(kept)
        return table.take(pa.array(kept, pa.int64())), counts


def _places(tables: Iterable[pa.Table]) -> dict[tuple[str, str], str]:
    """Both keys of every pair, and the source that it is first from."""
    pairs: dict[tuple[str, str], str] = {}
    for table in tables:
        for both, source in zip(_keys(table), table["source"].to_pylist(), strict=True):
            pairs.setdefault(both, source)
    return pairs


def key(text: str) -> str:
    """What two texts share when the guard takes them for one: letters and digits, or all of a text without any."""
    return normalised(text) or text


def _keys(table: pa.Table) -> Iterable[tuple[str, str]]:
    return zip(map(key, table["question"].to_pylist()), map(key, table["passage"].to_pylist()), strict=True)


def _leak(table: pa.Table, row: int, held_out: str) -> str:
    texts = (" ".join(table[name][row].as_py().split()) for name in ("question", "passage"))
    question, passage = (text if len(text) <= 60 else f"{text[:59]}…" for text in texts)
    return (
        f"{table['source'][row].as_py()}: a training pair is in {held_out} too: '{question}' / '{passage}'; "
        "remove it from one of the two"
    )
