"""Fewer word pieces: a WordPiece tokenizer that knows the frequent ones, and spells others in smaller pieces."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from tmkd.errors import TmkdError

Ids = npt.NDArray[np.int64]


def kept_pieces(tokenizer: Tokenizer, counts: Ids, most: int) -> Ids:
    """The ids of the pieces that stay, ascending: special tokens, single characters, then the most frequent.

    `counts` (pieces,) says how often each piece occurs. A single character stays, for without it a word could not be
    spelt at all. Raises: TmkdError for another kind of tokenizer, or when `most` pieces are no cut or leave no room.
    """
    told = json.loads(tokenizer.to_str())
    if told["model"].get("type") != "WordPiece":
        raise TmkdError(
            f"student.vocabulary: a tokenizer of kind {told['model'].get('type')} cannot be cut; WordPiece can"
        )
    words: dict[str, int] = told["model"]["vocab"]
    prefix = told["model"]["continuing_subword_prefix"]
    needed = {int(token["id"]) for token in told["added_tokens"]} | {words[told["model"]["unk_token"]]}
    needed |= {place for word, place in words.items() if len(word.removeprefix(prefix)) == 1}
    if not len(needed) <= most < len(words):
        raise TmkdError(
            f"student.vocabulary is {most:,}; the tokenizer has {len(words):,} word pieces, of which {len(needed):,} "
            "are special tokens or single characters; set it between these"
        )
    rest = np.array(sorted({*words.values()} - needed, key=lambda place: (-counts[place], place)), dtype=np.int64)
    return np.sort(np.concatenate([np.array(sorted(needed)), rest[: most - len(needed)]]))


def cut_tokenizer(tokenizer: Tokenizer, kept: Ids) -> Tokenizer:
    """The tokenizer with these pieces alone, numbered anew in the order of their ids."""
    told = json.loads(tokenizer.to_str())
    new = {int(old): place for place, old in enumerate(kept)}
    words: dict[str, int] = told["model"]["vocab"]
    told["model"]["vocab"] = {word: new[old] for word, old in words.items() if old in new}
    for token in told["added_tokens"]:
        token["id"] = new[token["id"]]
    told["post_processor"] = _renumbered(told["post_processor"], new)
    return Tokenizer.from_str(json.dumps(told))


def _renumbered(part: Any, new: dict[int, int]) -> Any:
    """A post-processor's JSON with the new ids: {"ids": […]} of a template, or ["[SEP]", id] of BERT's own."""
    if isinstance(part, dict):
        return {
            key: [new[old] for old in value] if key == "ids" else _renumbered(value, new) for key, value in part.items()
        }
    if isinstance(part, list):
        named = len(part) == 2 and isinstance(part[0], str) and isinstance(part[1], int)
        return [part[0], new[part[1]]] if named else [_renumbered(one, new) for one in part]
    return part
