"""Single texts → token ids, in the input format that an embedding model has for one text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tokenizers import AddedToken, Tokenizer

from tmkd.data.text import PairTokenizer
from tmkd.data.text_ids import TextIdTokenizer
from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError

_NAME = "<tmkd-text>"


class TextTokenizer:
    """Tokenizer of single texts: the special tokens around one text are found by tokenising a made-up token.

    At most `max_length` ids, special tokens included; the end of a longer text is cut.
    Raises: TmkdError when `max_length` leaves no room for a text.
    """

    def __init__(self, pairs: PairTokenizer, max_length: int) -> None:
        copy = Tokenizer.from_str(pairs.tokenizer.to_str())
        copy.add_tokens([AddedToken(_NAME, normalized=False)])
        encoding = copy.encode(_NAME)
        at = encoding.tokens.index(_NAME)
        ids = np.array(encoding.ids, dtype=np.int32)
        self._before, self._after = ids[:at], ids[at + 1 :]
        specials = len(ids) - 1
        if max_length <= specials:
            raise TmkdError(f"max_length {max_length} leaves no room beside {specials} special tokens; raise it")
        self._text_ids = TextIdTokenizer(pairs.tokenizer, max_length - specials, plain=pairs.settings.rules > 1)

    def encode(self, texts: Sequence[str]) -> TokenIds:
        """Tokenise texts; token types are 0."""
        found = [
            np.concatenate([self._before, np.array(ids, dtype=np.int32), self._after])
            for ids in self._text_ids.first_ids(texts)
        ]
        return TokenIds.of(found, [np.zeros_like(ids) for ids in found])
