"""The first token ids of long texts: of a prefix alone, where they surely are those of the whole text."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Sequence, Set
from itertools import chain
from typing import Any

from tokenizers import Encoding, Tokenizer

from tmkd.data.long_words import can_cut_words, first_word_ids, shorten_unknown, words_of

_BATCH_TEXTS = 4096  # texts per tokenizer call: bounds the memory of its Encoding objects, as does
_BATCH_CHARACTERS = 1 << 22
_CHARACTERS_PER_ID = 16  # of the first prefix: few texts need more
_WIDER = 16  # times as long is the next prefix
_BASES_BEHIND = 32  # base characters between the last id taken and the end of the prefix
# What the tokenizers library does to a character by its kind alone, and by the characters around it alone, so that none
# has an effect beyond the next base character: a letter, a digit, a sign of punctuation or a symbol.
_BY_CHARACTER = {
    *("BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Nmt", "Sequence"),
    *("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Punctuation", "Digits", "UnicodeScripts"),
}
_LOCAL = {*_BY_CHARACTER, "Prepend", "Precompiled", "ByteLevel", "Metaspace", "CharDelimiterSplit"}
_BASES = {*"LNP", "Sm", "Sc", "So"}
_OPENS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_ENDS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LOCAL_PATTERNS = {r"\s", r"\s+", " {2,}", _OPENS + r"\p{N}" + _ENDS, _OPENS + r"\p{N}{1,3}" + _ENDS}


class PrefixTokenizer:
    """A tokenizer of which only the first `most` ids of each text are asked for, without special tokens.

    The tokenizers library has no such call: it tokenises texts whole and cuts the ids, which takes seconds and
    gigabytes when a text has many megabytes.
    """

    def __init__(self, tokenizer: Tokenizer, most: int) -> None:
        self._tokenizer = tokenizer
        self._most = most
        parts = [_described(part) for part in (tokenizer.normalizer, tokenizer.pre_tokenizer)]
        self._local = all(_is_local(part, _LOCAL) for part in parts)
        self._by_character = all(_is_local(part, _BY_CHARACTER) for part in parts)
        self._longest: int | None = None  # characters of the longest token, once they are needed
        longest = max((len(token.content) for token in tokenizer.get_added_tokens_decoder().values()), default=0)
        self._bases_behind = _BASES_BEHIND + 2 * longest  # an added token may be of several words

    def first_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenise texts to the first `most` ids each."""
        ids: list[list[int]] = [[]] * len(texts)
        pending = dict(enumerate(texts))
        size = _CHARACTERS_PER_ID * self._most
        while pending:
            uncertain = []
            whole = [place for place, text in pending.items() if not self._local or len(text) <= size]
            for some in _batches(whole, [len(pending[place]) for place in whole]):
                cleaned = [_clean(pending[at]) for at in some]
                encodings = self._tokenizer.encode_batch_fast(cleaned, add_special_tokens=False)
                for place, encoding in zip(some, encodings, strict=True):
                    ids[place] = encoding.ids[: self._most]
            cut = [place for place, text in pending.items() if self._local and len(text) > size]
            for some in _batches(cut, [size] * len(cut)):
                prefixes = [_clean(pending[place][:size]) for place in some]
                encodings = self._tokenizer.encode_batch(prefixes, add_special_tokens=False)
                for place, prefix, encoding in zip(some, prefixes, encodings, strict=True):
                    found = self._certain_ids(prefix, encoding, len(pending[place]))
                    if found is None:
                        uncertain.append(place)
                    else:
                        ids[place] = found
            pending = {place: self._shortened(pending[place]) for place in uncertain}
            size *= _WIDER
        return ids

    def _certain_ids(self, prefix: str, encoding: Encoding, length: int) -> list[int] | None:
        """The first `most` ids, where they surely are those of the whole text of `length` characters."""
        if self._ends_in_time(prefix, encoding):
            return encoding.ids[: self._most]
        if not can_cut_words(self._tokenizer):
            return None
        words, certain = words_of(self._tokenizer, prefix), words_of(self._tokenizer, self._cut_back(prefix))
        if not certain or words[:-1] != certain[:-1] or not words[-1].startswith(certain[-1]):
            return None
        if self._longest is None:
            self._longest = max(map(len, self._tokenizer.get_vocab()))
        if self._longest * len(certain[-1]) > length:
            return None  # the whole text costs less
        *before, last = ([token.id for token in self._tokenizer.model.tokenize(word)] for word in words)
        first = [*chain.from_iterable(before)]
        if first + last != encoding.ids or len(first) >= self._most:
            return None  # with added tokens in it, or few base characters
        more = first_word_ids(self._tokenizer, certain[-1], self._most - len(first), self._longest)
        return None if more is None else first + more

    def _ends_in_time(self, prefix: str, encoding: Encoding) -> bool:
        """True where the first `most` ids are of whole words, far enough from the end of the prefix."""
        words = encoding.word_ids
        if len(words) <= self._most:
            return False
        last = self._most - 1
        while last + 1 < len(words) and words[last + 1] == words[last]:
            last += 1
        return last + 1 < len(words) and encoding.offsets[last][1] <= len(self._cut_back(prefix))

    def _cut_back(self, prefix: str) -> str:
        """The prefix up to where enough base characters follow; empty where there are fewer."""
        bases = 0
        for place in range(len(prefix) - 1, -1, -1):
            category = unicodedata.category(prefix[place])
            bases += category[0] in _BASES or category in _BASES
            if bases == self._bases_behind:
                return prefix[:place]
        return ""

    def _shortened(self, text: str) -> str:
        return shorten_unknown(self._tokenizer, _clean(text)) if self._by_character else text


def _clean(text: str) -> str:
    """Replace lone surrogates, which the tokenizer rejects, by a question mark."""
    return text.encode("utf-8", "replace").decode()


def _batches(places: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Split places into batches of few texts and few characters."""
    batch: list[int] = []
    characters = 0
    for place, size in zip(places, sizes, strict=True):
        if batch and (len(batch) == _BATCH_TEXTS or characters + size > _BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(place)
        characters += size
    if batch:
        yield batch


def _described(part: Any) -> dict[str, Any]:
    """A normalizer or pre-tokenizer as in tokenizer.json; empty without one."""
    return {} if part is None else json.loads(part.__getstate__())


def _is_local(part: dict[str, Any], kinds: Set[str]) -> bool:
    inner = part.get("normalizers", part.get("pretokenizers", []))
    kind, pattern = part.get("type"), part.get("pattern", {})
    if kind in ("Replace", "Split") and kinds is _LOCAL:
        return "String" in pattern or pattern.get("Regex") in _LOCAL_PATTERNS
    return not part or (kind in kinds and all(_is_local(one, kinds) for one in inner))
