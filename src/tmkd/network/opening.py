"""Checks of a model that was just opened: whole weights, positions for the longest pair, scores free of padding."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import nn

from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError, first_line

Score = Callable[[Sequence[str], Sequence[str]], np.ndarray]

_NOT_READ = re.compile(r"(^|\.)(pooler\.|position_ids$)")  # in many folders, though the network has no use for it
_QUESTION, _PASSAGE, _OTHER = "what is the moon", "the moon is a ball of stone", "sea and sun, sun and sea"
_TOLERANCE = 1e-3  # of the spread between pairs; float32 rounding moves a logit by far less


@contextmanager
def refusing(subject: str) -> Iterator[None]:
    """Turn whatever a model's code raises on a foreign folder into a TmkdError about `subject`, in one line."""
    try:
        yield
    except TmkdError:
        raise
    except Exception as error:  # transformers' models raise nearly every kind
        raise TmkdError(f"{subject}: {first_line(error)}") from error


def check_weights(
    model: nn.Module, loaded: Mapping[str, Any], subject: str, *, fresh_head: bool = False, layers: int | None = None
) -> None:
    """Compare the weights of a folder with those of the network, from transformers' loading info.

    With `fresh_head`, all outside the body, and its pooler, is about to be trained: it may be missing or of another
    shape, and another task's head may be left over. Layers from number `layers` on were left out.
    Raises: TmkdError naming a weight that is missing, of another shape, or left over.
    """
    body = getattr(model, "base_model", model)
    prefix, parts = f"{getattr(model, 'base_model_prefix', '')}.", {name for name, _ in body.named_children()}

    def in_body(weight: str) -> bool:
        return body is model or weight.startswith(prefix) or weight.partition(".")[0] in parts

    def left_out(weight: str) -> bool:
        number = re.search(r"(?:\.|_l)(\d+)(?:\.|_reverse$|$)", weight)  # of a list of layers, or of an LSTM's
        return layers is not None and number is not None and int(number[1]) >= layers

    def needed(weight: str) -> bool:
        return not fresh_head or (in_body(weight) and not _NOT_READ.search(weight))

    wrong = {
        "is missing": [weight for weight in loaded["missing_keys"] if needed(weight)],
        "has another shape than config.json says": [
            weight for weight, *_ in loaded.get("mismatched_keys", ()) if needed(weight)
        ],
        "is in the folder, but the network has no place for it": [
            weight
            for weight in loaded["unexpected_keys"]
            if needed(weight) and not _NOT_READ.search(weight) and not left_out(weight)
        ],
    }
    for what, weights in wrong.items():
        if weights:
            more = f" (and {len(weights) - 1} more)" if len(weights) > 1 else ""
            raise TmkdError(
                f"{subject}: not a whole model: weight {min(weights)} {what}{more}; "
                "it would compute something else than the model that was trained: save it again, whole"
            )


def longest_pair(model: nn.Module, wanted: int) -> int:
    """Token ids that a pair may have: `wanted`, or as many as the network has positions for.

    Counted from the embedding itself: RoBERTa, CamemBERT, MPNet, Longformer, ESM and others number positions from
    padding_idx + 1, OPT and BART from an offset. A network with relative positions alone is bounded by its config.
    """
    config: Any = model.config
    bounds = [wanted]
    for key in ("max_position_embeddings", "n_positions"):
        bound = getattr(config, key, None)
        if isinstance(bound, int) and bound > 0:  # XLNet says -1: no bound
            bounds.append(bound)
    for name, module in model.named_modules():
        last = name.rpartition(".")[2]
        weight = getattr(module, "weight", None)
        if (last == "wpe" or "position" in last) and "relative" not in last and getattr(weight, "ndim", 0) == 2:
            padding = getattr(module, "padding_idx", None)
            first = (0 if padding is None else int(padding) + 1) + int(getattr(module, "offset", 0) or 0)
            bounds.append(len(weight) - first)  # type: ignore[arg-type]
    return min(bounds)


def check_vocabulary(model: Any, tokenizer: PairTokenizer, subject: str) -> None:
    """Compare the token ids that pairs may have with the rows of the network's embedding of them.

    A special token that no text becomes and no pair has needs no row. Raises: TmkdError naming the first other one, or
    the counts where the tokenizer knows less than a quarter of the rows: one converted without its pieces knows special
    tokens alone, and would make every word unknown.
    """
    with suppress(NotImplementedError):  # CANINE's ids are hashed
        rows = getattr(model.get_input_embeddings(), "num_embeddings", None)
        ids = tokenizer.known_ids()
        if rows is not None and 4 * len(ids) < rows:
            raise TmkdError(
                f"{subject}: its tokenizer knows {len(ids):,} token ids, but the network embeds {rows:,}: it is "
                "another model's, or was converted without all files of the slow tokenizer; save the model's own there"
            )
        beyond = [] if rows is None else [(number, token) for token, number in ids.items() if number >= rows]
        if beyond:
            number, token = min(beyond)
            raise TmkdError(
                f"{subject}: its tokenizer has {token!r} as token id {number}, but the network embeds {rows} ids; "
                "one of the two is another model's: save both again"
            )


def reads_padding(score: Score, max_length: int, subject: str) -> bool:
    """True where a pair's score moves when padding follows it: XLNet reads the last position, FNet mixes all of them.

    Scores made-up pairs: one as long as the network reads, and one alone and beside a longer one.
    Raises: TmkdError when the network fails on them or gives no finite number.
    """
    with refusing(f"{subject}: cannot score a pair of {max_length} token ids"), torch.inference_mode():
        longest = score([_QUESTION], [f"{_PASSAGE} " * max_length])
        alone = score([_QUESTION], [_PASSAGE])
        padded = score([_QUESTION] * 3, [_PASSAGE, f"{_OTHER} " * 8, _OTHER])
    if not all(np.isfinite(found).all() for found in (longest, alone, padded)):
        raise TmkdError(f"{subject}: gives scores that are no finite numbers; its weights are damaged")
    spread = float(np.ptp(padded.reshape(3, -1), axis=0).max())
    return bool(np.abs(alone[0] - padded[0]).max() > _TOLERANCE * spread + 1e-6)


def refuse_padding(score: Score, max_length: int, subject: str) -> None:
    """Raise TmkdError when a network that is about to be trained in padded batches reads the padding."""
    if reads_padding(score, max_length, subject):
        raise TmkdError(
            f"{subject}: its scores move with the padding behind a pair, so it cannot be trained in batches here; "
            "take one of another family"
        )
