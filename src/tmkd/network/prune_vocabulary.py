"""Pruning of a WordPiece vocabulary: rare pieces are dropped, and words with them split into smaller pieces."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from tmkd.errors import TmkdError

Ids = npt.NDArray[np.int64]


def kept_pieces(tokenizer: Tokenizer, counts: Ids, most: int) -> Ids:
    """Ids of the `most` pieces to keep, ascending: special tokens, single characters, then the most frequent.

    `counts` (pieces,) are the pieces' frequencies. Single characters stay because every word can be split into them.
    Raises: TmkdError for another kind of tokenizer, or when `most` is not between the needed pieces and all of them.
    """
    content = json.loads(tokenizer.to_str())
    if content["model"].get("type") != "WordPiece":
        raise TmkdError(
            f"student.vocabulary: a tokenizer of kind {content['model'].get('type')} cannot be cut; WordPiece can"
        )
    words: dict[str, int] = content["model"]["vocab"]
    prefix = content["model"]["continuing_subword_prefix"]
    needed = {int(token["id"]) for token in content["added_tokens"]} | {words[content["model"]["unk_token"]]}
    needed |= {place for word, place in words.items() if len(word.removeprefix(prefix)) == 1}
    if not len(needed) <= most < len(words):
        raise TmkdError(
            f"student.vocabulary is {most:,}; the tokenizer has {len(words):,} word pieces, of which {len(needed):,} "
            "are special tokens or single characters; set it between these"
        )
    rest = np.array(sorted({*words.values()} - needed, key=lambda place: (-counts[place], place)), dtype=np.int64)
    return np.sort(np.concatenate([np.array(sorted(needed)), rest[: most - len(needed)]]))


def cut_tokenizer(tokenizer: Tokenizer, kept: Ids) -> Tokenizer:
    """Tokenizer with only these pieces, renumbered in the order of their ids."""
    content = json.loads(tokenizer.to_str())
    new = {int(old): place for place, old in enumerate(kept)}
    words: dict[str, int] = content["model"]["vocab"]
    content["model"]["vocab"] = {word: new[old] for word, old in words.items() if old in new}
    for token in content["added_tokens"]:
        token["id"] = new[token["id"]]
    content["post_processor"] = _renumbered(content["post_processor"], new)
    return Tokenizer.from_str(json.dumps(content))


def _renumbered(part: Any, new: dict[int, int]) -> Any:
    """Post-processor's JSON with the new ids: in a template {"ids": […]}, in BERT's own ["[SEP]", id]."""
    if isinstance(part, dict):
        return {
            key: [new[old] for old in value] if key == "ids" else _renumbered(value, new) for key, value in part.items()
        }
    if isinstance(part, list):
        named = len(part) == 2 and isinstance(part[0], str) and isinstance(part[1], int)
        return [part[0], new[part[1]]] if named else [_renumbered(one, new) for one in part]
    return part
