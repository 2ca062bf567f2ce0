"""Value of an answer store: a few answers as passage numbers and scores, with a digest over key and value."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import partial
from hashlib import blake2b
from typing import NamedTuple

from tmkd.errors import TmkdError

MOST_BYTES = 128  # of a value
DIGEST_BYTES = 8
_PAIR = struct.Struct("<If")  # passage number, score
MOST_ANSWERS = (MOST_BYTES - DIGEST_BYTES) // _PAIR.size


class Answer(NamedTuple):
    """An answer to a question: number of the passage in the index's store, probability of relevance (float32)."""

    passage: int
    score: float


class DamagedEntry(TmkdError):
    """Entry of an answer store whose digest is wrong."""


# Answer._make without its check of the length, which the format of a pair guarantees.
_answer = partial(tuple.__new__, Answer)


def most_bytes(answers: int) -> int:
    """Bytes of a value with so many answers."""
    return answers * _PAIR.size + DIGEST_BYTES


def encode(key: bytes, answers: Sequence[Answer]) -> bytes:
    """Encode answers, best first: 8 bytes each (uint32, float32, little-endian), then 8 digest bytes.

    Raises: ValueError for more than MOST_ANSWERS; struct.error for a passage number beyond 32 bits.
    """
    if len(answers) > MOST_ANSWERS:
        raise ValueError(f"{len(answers)} answers; a value has at most {MOST_ANSWERS}")
    body = b"".join(_PAIR.pack(*answer) for answer in answers)
    return body + blake2b(key + body, digest_size=DIGEST_BYTES).digest()


def decode(key: bytes, value: bytes) -> tuple[Answer, ...]:
    """Decode the answers of a key.  Raises: DamagedEntry when the digest is wrong."""
    body = value[:-DIGEST_BYTES]
    if blake2b(key + body, digest_size=DIGEST_BYTES).digest() != value[-DIGEST_BYTES:]:
        raise DamagedEntry(f"entry {key.hex()} of the answer store is damaged; run precompute again")
    return tuple(map(_answer, _PAIR.iter_unpack(body)))
