"""Answer stores of a few entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tmkd.serve.answer_value import Answer, encode
from tmkd.serve.lookup_writer import write_version
from tmkd.serve.question_key import question_key
from tmkd.serve.store_origin import ScoredBy, StoreOrigin

ORIGIN = StoreOrigin(ScoredBy("b" * 64, "int8", "kernel", 2, "c" * 64, 10, 5), 0.5)
ANSWERS = {"why is the sky blue": (Answer(3, 0.75), Answer(1, 0.5)), "what is rain": ()}


def write_store(
    folder: Path, answers: Mapping[str, Sequence[Answer]] = ANSWERS, origin: StoreOrigin = ORIGIN
) -> StoreOrigin:
    """Write a version of a store and make it current; returns its origin."""
    folder.mkdir(parents=True, exist_ok=True)
    keyed = {question_key(question): some for question, some in answers.items()}
    write_version(folder, origin, sorted((key, encode(key, some)) for key, some in keyed.items()))
    return origin


def numbered(number: int) -> StoreOrigin:
    """ORIGIN with another threshold."""
    return replace(ORIGIN, threshold=number / 1024)
