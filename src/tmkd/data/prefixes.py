"""The first token ids of long texts: of a prefix alone, where they surely are those of the whole text."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from tokenizers import Encoding, Tokenizer

_BATCH_TEXTS = 4096  # texts per tokenizer call: bounds the memory of its Encoding objects, as does
_BATCH_CHARACTERS = 1 << 22
_CHARACTERS_PER_ID = 16  # of the first prefix: few texts need more
_WIDER = 16  # times as long is the next prefix
_BASES_BEHIND = 32  # base characters between the last id taken and the end of the prefix
# What the tokenizers library does to a character by the characters around it alone, so that none has an effect beyond
# the next base character: a letter, a digit or a sign of punctuation.
_LOCAL = {
    *("BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Nmt", "Prepend"),
    *("Precompiled", "ByteLevel", "Sequence"),
    *("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Metaspace", "CharDelimiterSplit", "Punctuation", "Digits"),
    "UnicodeScripts",
}
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
        # Without a pre-tokenizer the whole text is one word: its end decides over its beginning.
        parts = [_described(part) for part in (tokenizer.normalizer, tokenizer.pre_tokenizer)]
        self._local = bool(parts[1]) and all(map(_is_local, parts))
        longest = max((len(token.content) for token in tokenizer.get_added_tokens_decoder().values()), default=0)
        self._bases_behind = _BASES_BEHIND + 2 * longest  # an added token may be of several words

    def first_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenise texts to the first `most` ids each."""
        ids: list[list[int]] = [[]] * len(texts)
        pending, size = list(range(len(texts))), _CHARACTERS_PER_ID * self._most
        while pending:
            uncertain = []
            whole = [place for place in pending if not self._local or len(texts[place]) <= size]
            for some in _batches(whole, [len(texts[place]) for place in whole]):
                encodings = self._tokenizer.encode_batch_fast(
                    [_clean(texts[at]) for at in some], add_special_tokens=False
                )
                for place, encoding in zip(some, encodings, strict=True):
                    ids[place] = encoding.ids[: self._most]
            cut = [place for place in pending if self._local and len(texts[place]) > size]
            for some in _batches(cut, [size] * len(cut)):
                prefixes = [_clean(texts[place][:size]) for place in some]
                encodings = self._tokenizer.encode_batch(prefixes, add_special_tokens=False)
                for place, prefix, encoding in zip(some, prefixes, encodings, strict=True):
                    if self._is_certain(prefix, encoding):
                        ids[place] = encoding.ids[: self._most]
                    else:
                        uncertain.append(place)
            pending, size = uncertain, size * _WIDER
        return ids

    def _is_certain(self, prefix: str, encoding: Encoding) -> bool:
        """True where the first `most` ids are of whole words, far enough from the end of the prefix."""
        words = encoding.word_ids
        if len(words) <= self._most:
            return False
        last = self._most - 1
        while last + 1 < len(words) and words[last + 1] == words[last]:
            last += 1
        behind = prefix[encoding.offsets[last][1] :]
        bases = sum(unicodedata.category(character)[0] in "LNP" for character in behind)
        return last + 1 < len(words) and bases >= self._bases_behind


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


def _is_local(part: dict[str, Any]) -> bool:
    inner = part.get("normalizers", part.get("pretokenizers", []))
    kind, pattern = part.get("type"), part.get("pattern", {})
    if kind in ("Replace", "Split"):
        return "String" in pattern or pattern.get("Regex") in _LOCAL_PATTERNS
    return not part or (kind in _LOCAL and all(map(_is_local, inner)))
