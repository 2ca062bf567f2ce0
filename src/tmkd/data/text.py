"""Pair tokenisation: texts → token ids with special tokens, truncation and padding; the only place for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
from tokenizers import AddedToken, Tokenizer
from tokenizers.normalizers import BertNormalizer

from tmkd.data.text_ids import TextIdTokenizer
from tmkd.data.tokens import TextIds, TokenIds, ragged_arange
from tmkd.errors import TmkdError, first_line
from tmkd.store import write_atomic

TOKENIZER = "tokenizer.json"
_AS_STORED = ("PreTrainedTokenizerFast", "TokenizersBackend")  # classes of transformers that read tokenizer.json alone
_BERT_SETTINGS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
TEXT_RULES = 2
STUDENT = "tmkd"  # model_type of a student, whose config.json names the rules it was trained under


@dataclass(frozen=True, slots=True)
class TextSettings:
    """Input format of a model: at most `max_length` ids, special tokens included, padded with `pad_id`.

    `type_ids`: the model uses token types for first and second text (as BERT does); `separator_id` goes between the
    texts if the tokenizer puts nothing there (as GPT's). `rules` numbers the reading of texts, today's is TEXT_RULES:
    under 0 a special token's name in a text ("[SEP]", "</s>") became that token, since 1 it is text like any other,
    since 2 also where it is a piece of the tokenizer's model.
    """

    max_length: int
    pad_id: int
    type_ids: bool
    separator_id: int | None
    rules: int = 0


@dataclass(frozen=True, slots=True)
class _SpecialTokens:
    """Special tokens before, between and after the two texts, and the token types of all positions."""

    before: np.ndarray
    between: np.ndarray
    after: np.ndarray
    before_types: np.ndarray
    between_types: np.ndarray
    after_types: np.ndarray
    text_types: tuple[int, int]

    @property
    def specials(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


class PairTokenizer:
    """Tokenizer of pairs in the input format of a model.

    Truncation and padding of the underlying tokenizer are switched off: its file may have other settings.
    Raises: TmkdError when `max_length` does not fit one token of each text.
    """

    def __init__(self, tokenizer: Tokenizer, settings: TextSettings) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = settings.rules > 0
        self.tokenizer = tokenizer
        self.settings = settings
        self._specials = _probe_special_tokens(tokenizer, settings)
        self._text_budget = settings.max_length - self._specials.specials
        if self._text_budget < 2:
            raise TmkdError(
                f"max_length {settings.max_length} does not fit two texts beside "
                f"{self._specials.specials} special tokens; set it to at least {self._specials.specials + 2}"
            )
        self._text_ids = TextIdTokenizer(tokenizer, self._text_budget, plain=settings.rules > 1)

    @classmethod
    def load(cls, folder: Path, max_length: int) -> Self:
        """Load from a model folder: tokenizer.json; pad token, separator and token types from the files beside it.

        Settings of tokenizer_config.json go before tokenizer.json's where they do in transformers (BERT's).
        Raises: TmkdError when tokenizer.json is missing or damaged.
        """
        path = folder / TOKENIZER
        if not path.is_file():
            raise TmkdError(f"{path}: missing; save the model's fast tokenizer there")
        try:
            tokenizer = Tokenizer.from_buffer(path.read_bytes())
        except Exception as error:  # the tokenizers library raises plain Exception
            raise TmkdError(f"{path}: not a tokenizer ({first_line(error)})") from None
        config = _json(folder / "config.json")
        names = _json(folder / "special_tokens_map.json") | _json(folder / "tokenizer_config.json")
        if config.get("model_type") != STUDENT:  # a student has the tokenizer that it was trained with
            _apply_bert_settings(tokenizer, names)
        pad = _special_id(tokenizer, "pad", names, config)
        end = _special_id(tokenizer, "eos", names, config)
        separator = _special_id(tokenizer, "sep", names, config)
        settings = TextSettings(
            max_length=max_length,
            pad_id=next((found for found in (pad, end) if found is not None), 0),
            type_ids=reads_token_types(config.get("type_vocab_size"), config.get("model_type")) if config else True,
            separator_id=separator if separator is not None else end,
            rules=int(config.get("text_rules", 0)) if config.get("model_type") == STUDENT else TEXT_RULES,
        )
        return cls(tokenizer, settings)

    def encode(self, questions: Sequence[str], passages: Sequence[str]) -> TokenIds:
        """Tokenise pairs to at most `max_length` ids each; repeated texts are tokenised once.

        The passage is truncated first; a question that fills all the length leaves one token to a non-empty passage.
        """
        if len(questions) != len(passages):
            raise ValueError(f"{len(questions)} questions do not go with {len(passages)} passages")
        return self.pair(self.tokenise(questions), self.tokenise(passages))

    def pair(self, questions: TextIds, passages: TextIds) -> TokenIds:
        """Join tokenised texts to pairs with special tokens, truncated as in `encode`."""
        specials, pairs = self._specials, len(questions.lengths)
        first_ids, first_starts, firsts = questions.flat_ids, questions.starts, questions.lengths
        second_ids, second_starts, seconds = passages.flat_ids, passages.starts, passages.lengths
        seconds = np.minimum(seconds, np.maximum(self._text_budget - firsts, np.minimum(seconds, 1)))
        firsts = np.minimum(firsts, self._text_budget - seconds)
        lengths = firsts + seconds + specials.specials
        at = np.cumsum(lengths) - lengths
        ids = np.empty(lengths.sum(), dtype=np.int32)
        types = np.empty_like(ids)
        once = np.zeros(pairs, dtype=np.int64)
        for piece, starts, counts, its_types in (
            (specials.before, once, once + len(specials.before), specials.before_types),
            (first_ids, first_starts, firsts, specials.text_types[0]),
            (specials.between, once, once + len(specials.between), specials.between_types),
            (second_ids, second_starts, seconds, specials.text_types[1]),
            (specials.after, once, once + len(specials.after), specials.after_types),
        ):
            places, source = ragged_arange(at, counts), ragged_arange(starts, counts)
            ids[places] = piece[source]
            types[places] = its_types if isinstance(its_types, int) else its_types[source]
            at = at + counts
        return TokenIds(ids, types, lengths)

    def known_ids(self) -> dict[str, int]:
        """Token ids that a pair may have, by token: those of texts, the special ones around them, the padding."""
        added = self.tokenizer.get_added_tokens_decoder()
        found = self.tokenizer.get_vocab(with_added_tokens=False)
        found |= {token.content: number for number, token in added.items() if not token.special}
        around = (self._specials.before, self._specials.between, self._specials.after, [self.settings.pad_id])
        return found | {str(self.tokenizer.id_to_token(number)): number for part in around for number in map(int, part)}

    def fits(self, questions: Sequence[str], passages: Sequence[str]) -> np.ndarray:
        """True for each pair that `encode` leaves whole, bool (pairs,); one text as long as the limit counts as cut."""
        firsts, seconds = (self.tokenise(texts).lengths for texts in (questions, passages))
        return np.asarray((firsts + seconds <= self._text_budget) & (np.maximum(firsts, seconds) < self._text_budget))

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, with truncation and padding switched off."""
        write_atomic(folder / TOKENIZER, self.tokenizer.to_str(pretty=True).encode())

    def tokenise(self, texts: Sequence[str]) -> TextIds:
        """Tokenise texts without special tokens, each distinct one once, to as many ids as a pair can have."""
        distinct = list(dict.fromkeys(texts))
        kept = self._text_ids.first_ids(distinct)
        flat = np.fromiter(chain.from_iterable(kept), dtype=np.int32)
        lengths = np.array([len(ids) for ids in kept], dtype=np.int64)
        place = {text: row for row, text in enumerate(distinct)}
        rows = np.array([place[text] for text in texts], dtype=np.int64)
        return TextIds(flat, np.cumsum(lengths) - lengths, lengths).take(rows)


def reads_token_types(type_vocab_size: int | None, model_type: str | None) -> bool:
    """True where a model, by its config.json, distinguishes first and second text by token types.

    XLNet does without a table of types: it asks of two tokens whether they have the same.
    """
    return (type_vocab_size or 0) > 1 or model_type == "xlnet"


def _probe_special_tokens(tokenizer: Tokenizer, settings: TextSettings) -> _SpecialTokens:
    """Find the special tokens around two texts by tokenising two made-up tokens with a copy of the tokenizer.

    This works for any vocabulary and post-processor.
    """
    copy = Tokenizer.from_str(tokenizer.to_str())
    names = ("<tmkd-first>", "<tmkd-second>")
    copy.add_tokens([AddedToken(name, normalized=False) for name in names])
    encoding = copy.encode(*names)
    ids = np.array(encoding.ids, dtype=np.int32)
    types = np.array(encoding.type_ids, dtype=np.int32) * settings.type_ids
    first, second = (encoding.tokens.index(name) for name in names)
    between, between_types = ids[first + 1 : second], types[first + 1 : second]
    if not len(between) and settings.separator_id is not None:
        between = np.array([settings.separator_id], dtype=np.int32)
        between_types = types[first : first + 1]
    return _SpecialTokens(
        before=ids[:first],
        between=between,
        after=ids[second + 1 :],
        before_types=types[:first],
        between_types=between_types,
        after_types=types[second + 1 :],
        text_types=(int(types[first]), int(types[second])),
    )


def _json(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty without the file."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise TmkdError(f"{path}: not JSON ({error})") from None
    return value if isinstance(value, dict) else {}


def _apply_bert_settings(tokenizer: Tokenizer, settings: dict[str, Any]) -> None:
    """Set lower-casing, accents and Chinese characters as tokenizer_config.json says, as transformers does for BERT.

    Classes that take tokenizer.json as it is are left alone.
    """
    normalizer = tokenizer.normalizer
    if not isinstance(normalizer, BertNormalizer) or settings.get("tokenizer_class") in _AS_STORED:
        return
    for theirs, ours in _BERT_SETTINGS.items():
        value = settings.get(theirs, ...)
        if isinstance(value, bool) or (value is None and theirs == "strip_accents"):
            setattr(normalizer, ours, value)
    tokenizer.normalizer = normalizer


def _special_id(tokenizer: Tokenizer, kind: str, names: dict[str, Any], config: dict[str, Any]) -> int | None:
    """Id of the pad, eos or sep token: by its name in the tokenizer's files, else from config.json."""
    token = names.get(f"{kind}_token")
    name = token.get("content") if isinstance(token, dict) else token
    found = tokenizer.token_to_id(name) if isinstance(name, str) else None
    number = config.get(f"{kind}_token_id")
    return found if found is not None else number if isinstance(number, int) else None
