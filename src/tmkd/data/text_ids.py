"""The first token ids of texts, in which the name of a special token is text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from typing import Any

from tokenizers import Tokenizer

from tmkd.data.prefixes import PrefixTokenizer

_NO_TEXT = "\0special\0"  # before a piece's name: no text has it
_UNKNOWN = "\U0010fffe"


class TextIdTokenizer:
    """A tokenizer of which the first `most` ids of each text are asked for, without special tokens.

    Unigram models (XLM-R, ALBERT, DeBERTa-v2, T5) have "</s>" among their pieces, so that a text with that name gets
    its id even where added tokens are text. With `plain` such a text is tokenised by a copy without these pieces.
    """

    def __init__(self, tokenizer: Tokenizer, most: int, *, plain: bool) -> None:
        self._tokenizer = tokenizer
        self._most = most
        self._prefixes = PrefixTokenizer(tokenizer, most)
        self._never = special_pieces(tokenizer) if plain else frozenset()

    @cached_property
    def _plain_prefixes(self) -> PrefixTokenizer:
        return PrefixTokenizer(without_pieces(self._tokenizer, self._never), self._most)

    def first_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenise texts to the first `most` ids each."""
        found = self._prefixes.first_ids(texts)
        if self._never.isdisjoint(chain.from_iterable(found)):
            return found
        named = [place for place, ids in enumerate(found) if not self._never.isdisjoint(ids)]
        plain = self._plain_prefixes.first_ids([texts[place] for place in named])
        for place, ids in zip(named, plain, strict=True):
            found[place] = ids
        return found


def special_pieces(tokenizer: Tokenizer) -> frozenset[int]:
    """Ids of the special tokens that are pieces of the model too, the one for unknown words apart."""
    model = tokenizer.model
    try:
        unknown = {token.id for token in model.tokenize(_UNKNOWN)}
    except Exception:  # without such a piece the tokenizers library raises plain Exception
        unknown = set()
    added = {number: one.content for number, one in tokenizer.get_added_tokens_decoder().items() if one.special}
    return frozenset(number for number, name in added.items() if model.token_to_id(name) is not None) - unknown


def without_pieces(tokenizer: Tokenizer, pieces: frozenset[int]) -> Tokenizer:
    """Copy a tokenizer without some pieces: they keep their ids, under names that no text has."""
    described: dict[str, Any] = json.loads(tokenizer.to_str())
    names = {str(tokenizer.id_to_token(number)) for number in pieces}

    def renamed(name: str) -> str:
        return _NO_TEXT + name if name in names else name

    for one in described["added_tokens"]:
        one["content"] = renamed(one["content"])
    vocabulary = described["model"]["vocab"]
    if isinstance(vocabulary, dict):
        described["model"]["vocab"] = {renamed(name): number for name, number in vocabulary.items()}
    else:
        described["model"]["vocab"] = [[renamed(name), score] for name, score in vocabulary]
    copy = Tokenizer.from_str(json.dumps(described | {"post_processor": None}))
    copy.encode_special_tokens = True
    return copy
