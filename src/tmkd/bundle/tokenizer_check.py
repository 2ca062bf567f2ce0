"""A bundle's tokenizer, opened after a check that it is no larger than its network and makes no text much longer."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from tokenizers import Tokenizer

from tmkd.bundle.network_graph import NetworkSize
from tmkd.data.text import PairTokenizer, TextSettings
from tmkd.errors import TmkdError, first_line

_GROWTH = 64  # of a text, by all replacements one after the other; Unicode's longest decomposition is 18 characters
_LONGEST_WORD = 1000  # characters: WordPiece takes quadratic time in them


def open_tokenizer(data: bytes, settings: TextSettings, size: NetworkSize, name: object) -> PairTokenizer:
    """Open tokenizer.json (its bytes) for a network of this size. Errors call it `name`.

    Raises: TmkdError when the bytes are no tokenizer, it has ids that the network has not, it may lengthen a text
    without end, or the settings do not fit the network.
    """
    try:
        content = json.loads(data)
        _check(content, size.words)
        tokenizer = PairTokenizer(Tokenizer.from_buffer(data), settings)
        special = tokenizer.encode([""], [""])
    except TmkdError:
        raise
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the tokenizers library raises plain Exception, and on some files it panics
        raise TmkdError(f"{name}: not a tokenizer ({first_line(error)}); export the bundle again") from None
    ids = [*special.flat_ids.tolist(), settings.pad_id]
    if min(ids) < 0 or max(ids) >= size.words or special.flat_types.max(initial=0) >= size.types:
        raise TmkdError(f"{name}: special tokens that the network does not have; export the bundle again")
    if size.longest is not None and settings.max_length > size.longest:
        raise TmkdError(f"{name}: {settings.max_length} ids are more than the network's {size.longest} positions")
    return tokenizer


def _check(content: Any, words: int) -> None:
    """Check the content of tokenizer.json.  Raises: ValueError."""
    model = content["model"]
    vocabulary = model["vocab"]
    ids = [*vocabulary.values()] if isinstance(vocabulary, dict) else [*range(len(vocabulary))]
    added = content.get("added_tokens") or []
    ids += [token["id"] for token in added]
    wrong = next((one for one in ids if type(one) is not int or not 0 <= one < words), None)
    if wrong is not None:
        raise ValueError(f"the id {wrong}, but the network has {words} words")
    if model.get("dropout"):
        raise ValueError("dropout, by which a text's ids change from call to call")
    if (model.get("max_input_chars_per_word") or 0) > _LONGEST_WORD:
        raise ValueError(f"words of more than {_LONGEST_WORD} characters")
    unknown = model.get("unk_token")
    known = {token["content"] for token in added}
    if isinstance(vocabulary, dict) and unknown is not None and unknown not in vocabulary and unknown not in known:
        raise ValueError(f"no {unknown} in its vocabulary")
    growth = 1
    for part in _parts([content.get("normalizer"), content.get("pre_tokenizer")]):
        growth *= _growth(part)
        if growth > _GROWTH:
            raise ValueError(f"replacements that make a text more than {_GROWTH} times as long")


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """All parts of normalizers and pre-tokenizers, those within sequences too."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _growth(part: dict[str, Any]) -> int:
    """How many times as long a normalizer may make a text."""
    kind = part.get("type")
    if kind == "Replace":
        pattern, content = part["pattern"], len(part["content"])
        if "String" in pattern:
            return max(-(-content // max(len(pattern["String"]), 1)), 1)
        return content + 1  # a regular expression may match nothing at each place
    if kind == "Precompiled":
        data = base64.b64decode(part["precompiled_charsmap"] or "")
        strings = data[4 + int.from_bytes(data[:4], "little") :].split(b"\0")
        return max([1, *(len(one.decode(errors="ignore")) for one in strings)])
    return 1
