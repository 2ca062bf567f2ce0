"""A pair of texts → token ids, truncated and padded: the only place where this is decided."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
from tokenizers import AddedToken, Tokenizer

from tmkd.data.tokens import TokenIds, ragged_arange
from tmkd.errors import TmkdError
from tmkd.store import write_atomic

TOKENIZER = "tokenizer.json"
_AT_ONCE = 4096  # texts handed to the tokenizer in one call: bounds the memory its detailed answers take


@dataclass(frozen=True, slots=True)
class TextSettings:
    """How a model wants its pairs: at most `max_length` ids, special tokens included, padded with `pad_id`.

    `type_ids` says whether the model tells first and second text apart by token types (as BERT); `separator_id` goes
    between the texts where the tokenizer itself puts nothing there (as GPT).
    """

    max_length: int
    pad_id: int
    type_ids: bool
    separator_id: int | None


@dataclass(frozen=True, slots=True)
class _SpecialTokens:
    """The special tokens before, between and after the two texts, and the type of every position around them."""

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
    """Turns pairs into token ids as the model was trained to read them.

    The tokenizer's own truncation and padding are switched off, for it truncates to what its file happens to say.
    Raises: TmkdError when `max_length` has no room for one token of each text.
    """

    def __init__(self, tokenizer: Tokenizer, settings: TextSettings) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.tokenizer = tokenizer
        self.settings = settings
        self._layout = _layout(tokenizer, settings)
        self._room = settings.max_length - self._layout.specials
        if self._room < 2:
            raise TmkdError(
                f"max_length {settings.max_length} leaves no room for two texts beside "
                f"{self._layout.specials} special tokens; set it to at least {self._layout.specials + 2}"
            )

    @classmethod
    def load(cls, folder: Path, max_length: int) -> Self:
        """Read a model folder: tokenizer.json, and from the files beside it the pad token and the use of token types.

        Raises: TmkdError when tokenizer.json is missing or damaged.
        """
        path = folder / TOKENIZER
        if not path.is_file():
            raise TmkdError(f"{path}: missing; save the model's fast tokenizer there")
        try:
            tokenizer = Tokenizer.from_buffer(path.read_bytes())
        except Exception as error:  # the tokenizers library raises plain Exception
            raise TmkdError(f"{path}: not a tokenizer ({str(error).splitlines()[0]})") from None
        config = _json(folder / "config.json")
        names = _json(folder / "special_tokens_map.json") | _json(folder / "tokenizer_config.json")
        pad = _special_id(tokenizer, "pad", names, config)
        end = _special_id(tokenizer, "eos", names, config)
        separator = _special_id(tokenizer, "sep", names, config)
        settings = TextSettings(
            max_length=max_length,
            pad_id=next((found for found in (pad, end) if found is not None), 0),
            type_ids=int(config.get("type_vocab_size") or 0) > 1 if config else True,
            separator_id=separator if separator is not None else end,
        )
        return cls(tokenizer, settings)

    def encode(self, questions: Sequence[str], passages: Sequence[str]) -> TokenIds:
        """Token ids of pairs, never more than `max_length` each; a text that occurs often is tokenised once.

        The passage is cut first; a question too long on its own gives way to one passage token, if there is any.
        """
        layout, pairs = self._layout, len(questions)
        if pairs != len(passages):
            raise ValueError(f"{pairs} questions do not go with {len(passages)} passages")
        (first_ids, first_starts, firsts), (second_ids, second_starts, seconds) = map(
            self._tokenise, (questions, passages)
        )
        seconds = np.minimum(seconds, np.maximum(self._room - firsts, np.minimum(seconds, 1)))
        firsts = np.minimum(firsts, self._room - seconds)
        lengths = firsts + seconds + layout.specials
        at = np.cumsum(lengths) - lengths
        ids = np.empty(lengths.sum(), dtype=np.int32)
        types = np.empty_like(ids)
        once = np.zeros(pairs, dtype=np.int64)
        for piece, starts, counts, its_types in (
            (layout.before, once, once + len(layout.before), layout.before_types),
            (first_ids, first_starts, firsts, layout.text_types[0]),
            (layout.between, once, once + len(layout.between), layout.between_types),
            (second_ids, second_starts, seconds, layout.text_types[1]),
            (layout.after, once, once + len(layout.after), layout.after_types),
        ):
            places, source = ragged_arange(at, counts), ragged_arange(starts, counts)
            ids[places] = piece[source]
            types[places] = its_types if isinstance(its_types, int) else its_types[source]
            at = at + counts
        return TokenIds(ids, types, lengths)

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, without truncation and padding."""
        write_atomic(folder / TOKENIZER, self.tokenizer.to_str(pretty=True).encode())

    def _tokenise(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids of the distinct texts, int32, without special tokens, at most as many as can be kept.

        And for each text where its ids begin and how many they are, int64 (texts,).
        """
        distinct = list(dict.fromkeys(texts))
        kept: list[list[int]] = []
        for start in range(0, len(distinct), _AT_ONCE):
            # A lone surrogate is no character: the tokenizer would refuse the text, so it reads a question mark.
            clean = [text.encode("utf-8", "replace").decode() for text in distinct[start : start + _AT_ONCE]]
            encodings = self.tokenizer.encode_batch_fast(clean, add_special_tokens=False)
            kept += [encoding.ids[: self._room] for encoding in encodings]
        flat = np.fromiter(chain.from_iterable(kept), dtype=np.int32)
        lengths = np.array([len(ids) for ids in kept], dtype=np.int64)
        place = {text: row for row, text in enumerate(distinct)}
        rows = np.array([place[text] for text in texts], dtype=np.int64)
        return flat, (np.cumsum(lengths) - lengths)[rows], lengths[rows]


def _layout(tokenizer: Tokenizer, settings: TextSettings) -> _SpecialTokens:
    """Find out what the tokenizer puts around two texts, by giving a copy of it two made-up tokens.

    Made-up tokens are found whatever the vocabulary and the kind of post-processor.
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
    """A JSON object's content, empty where there is no such file."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise TmkdError(f"{path}: not JSON ({error})") from None
    return value if isinstance(value, dict) else {}


def _special_id(tokenizer: Tokenizer, kind: str, names: dict[str, Any], config: dict[str, Any]) -> int | None:
    """The id of the pad, eos or sep token: by the name the tokenizer's files give it, else by config.json's number."""
    token = names.get(f"{kind}_token")
    name = token.get("content") if isinstance(token, dict) else token
    found = tokenizer.token_to_id(name) if isinstance(name, str) else None
    number = config.get(f"{kind}_token_id")
    return found if found is not None else number if isinstance(number, int) else None
