"""Words of unbounded length, such as a text without a space: their first token ids without the rest of the word.

WordPiece makes one unknown token of a word longer than its limit, so the middle of such a word can go. BPE and Unigram
tokenise the part of a word before a border of its tokens as if it were the whole word: BPE merges nothing across the
border, and Unigram's best path through it begins with the best path to it. Any stretch as long as the longest token has
a border. So where the word cut at each place of such a stretch has the same first ids, they are the whole word's.
"""

from __future__ import annotations

import re
from collections.abc import Set

from tokenizers import Tokenizer, models

_MARGIN = 8  # characters that composing may take from a word at its ends


def words_of(tokenizer: Tokenizer, text: str) -> list[str]:
    """Normalise a text without added tokens and split it into the model's words."""
    if tokenizer.normalizer is not None:
        text = tokenizer.normalizer.normalize_str(text)
    if tokenizer.pre_tokenizer is None:
        return [text]
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]


def shorten_unknown(tokenizer: Tokenizer, text: str) -> str:
    """Take the middle out of a text's words beyond WordPiece's limit, and out of long stretches between words.

    The token ids stay the same, if normalizer and pre-tokenizer go by single characters. Texts for another model are
    returned as they are.
    """
    model = tokenizer.model
    if not isinstance(model, models.WordPiece):
        return text
    active = [
        token.content
        for token in tokenizer.get_added_tokens_decoder().values()
        if not (token.special and tokenizer.encode_special_tokens)
    ]
    if any(len(words_of(tokenizer, f"a{content}a")) == 1 or _separates(tokenizer, content) for content in active):
        return text  # a token could stand in the middle that is taken out
    limit, tail = model.max_input_chars_per_word + _MARGIN, max(map(len, active), default=0)
    kept = max(4 * limit, tail)

    def shorter(found: re.Match[str]) -> str:
        run = found[0]
        words = words_of(tokenizer, run[:kept])
        unknown = len(words) == 1 and len(words[0]) > limit
        return run[:kept] + run[len(run) - tail :] if unknown or run[0] in between else run

    characters = {*text}
    between = {one for one in characters if _separates(tokenizer, one)}
    for inside in ({one for one in characters if len(words_of(tokenizer, f"a{one}a")) == 1}, between):
        if inside:
            text = _runs(inside, characters, kept + tail).sub(shorter, text)
    return text


def _separates(tokenizer: Tokenizer, text: str) -> bool:
    """True where a text between two words separates them and is nothing else."""
    return words_of(tokenizer, f"a{text}a") == ["a", "a"]


def _runs(inside: Set[str], characters: Set[str], longer_than: int) -> re.Pattern[str]:
    """Pattern of the runs of some of a text's characters."""
    outside = re.escape("".join(sorted(characters - inside)))
    return re.compile(f"{f'[^{outside}]' if outside else '(?s:.)'}{{{longer_than + 1},}}")


def can_cut_words(tokenizer: Tokenizer) -> bool:
    """True where `first_word_ids` holds: with Unigram, and BPE without dropout and without marks at a word's end."""
    model = tokenizer.model
    if isinstance(model, models.BPE):
        return not model.dropout and not model.end_of_word_suffix
    return isinstance(model, models.Unigram)


def first_word_ids(tokenizer: Tokenizer, beginning: str, most: int, longest: int) -> list[int] | None:
    """The first `most` ids of each word with this beginning; None where what follows may change them.

    `longest` is the number of characters of the longest token.
    """
    found: list[int] | None = None
    if len(beginning) <= longest:
        return None
    for end in range(len(beginning) - longest + 1, len(beginning) + 1):
        ids = [token.id for token in tokenizer.model.tokenize(beginning[:end])][:most]
        if len(ids) < most or found not in (None, ids):
            return None
        found = ids
    return found
