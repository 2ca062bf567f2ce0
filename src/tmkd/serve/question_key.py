"""Key of a question: equal for two spellings of one question, offline and online."""

from __future__ import annotations

from hashlib import blake2b

from tmkd.data.words import text_key

KEY_BYTES = 16


def normalised(question: str) -> str:
    """Normalise a question as the leakage guard does: lower case, without spaces and harmless punctuation."""
    return text_key(question)


def question_key(question: str) -> bytes:
    """Digest of the normalised question, 16 bytes: its key in an answer store."""
    return blake2b(text_key(question).encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()
