"""Embedding models: text → vector as the model's own files say, and the similarity of two texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from tmkd.data.single_texts import TextTokenizer
from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError, first_line
from tmkd.network.device import place
from tmkd.network.encoder import open_encoder
from tmkd.network.opening import longest_pair
from tmkd.network.same_ids import check_ids
from tmkd.network.scoring import batched_logits

Pooling = Literal["mean", "cls", "max", "lasttoken"]
Similarity = Literal["cosine", "dot"]
# Files beside the weights that say how an embedding is made, as sentence-transformers writes them.
MODULES, PROMPTS, LENGTH = "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"
_KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")
_QUESTION_PROMPTS, _PASSAGE_PROMPTS = ("query", "question"), ("document", "passage", "corpus")
_LENGTH = 256  # token ids, where a model names no length of its own


@dataclass(frozen=True, slots=True)
class EmbeddingSettings:
    """How a model makes an embedding: pooling, similarity, token ids per text, lower-casing, and the two prompts."""

    pooling: Pooling
    similarity: Similarity
    max_length: int
    lower_case: bool
    question_prompt: str
    passage_prompt: str


def embedding_settings(folder: Path) -> EmbeddingSettings:
    """Read a sentence-transformers folder's settings.

    Raises: TmkdError when the folder does not say how its embeddings are pooled, or says so in a way not known here.
    """
    modules = _read(folder / MODULES)
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise TmkdError(
            f"{folder}: no embedding model: {MODULES} is missing or damaged, so its pooling is not known; "
            "save it with sentence-transformers"
        )
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    unknown = [kind for kind in kinds if kind not in _KNOWN_MODULES]
    if unknown or kinds[:2] != ["Transformer", "Pooling"]:
        raise TmkdError(
            f"{folder / MODULES}: a chain of {', '.join(kinds) or 'nothing'}; "
            "Transformer, Pooling and Normalize are known"
        )
    place = folder / str(modules[1].get("path", "")) / "config.json"
    length, prompts = _object(folder / LENGTH), _object(folder / PROMPTS)
    named = prompts.get("prompts") or {}
    default = named.get(prompts.get("default_prompt_name") or "", "")
    known: dict[object, Similarity] = {name: name for name in get_args(Similarity)}
    similarity = known.get(prompts.get("similarity_fn_name") or "cosine")
    if similarity is None:
        raise TmkdError(f"{folder / PROMPTS}: similarity {prompts['similarity_fn_name']}; cosine and dot are known")
    return EmbeddingSettings(
        pooling=_pooling(place),
        similarity=similarity,
        max_length=int(length.get("max_seq_length") or _LENGTH),
        lower_case=bool(length.get("do_lower_case")),
        question_prompt=next((named[name] for name in _QUESTION_PROMPTS if name in named), default),
        passage_prompt=next((named[name] for name in _PASSAGE_PROMPTS if name in named), default),
    )


def embedding_files(folder: Path) -> list[Path]:
    """Files beside weights and tokenizer that decide an embedding."""
    names = [MODULES, PROMPTS, LENGTH]
    return sorted(
        path for path in (*map(folder.joinpath, names), *folder.glob("*_Pooling/config.json")) if path.is_file()
    )


def _pooling(path: Path) -> Pooling:
    config = _object(path)
    flags = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    named = [flag.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token") for flag in flags]
    if isinstance(config.get("pooling_mode"), str):
        named = [config["pooling_mode"]]
    known = {mode: mode for mode in get_args(Pooling)}
    if len(named) != 1 or named[0] not in known:
        raise TmkdError(
            f"{path}: pools by {' and '.join(named) or 'nothing that it names'}; one of {', '.join(known)} is known"
        )
    if config.get("include_prompt") is False:
        raise TmkdError(f"{path}: leaves the prompt out of the pooling, which is not known here")
    return known[named[0]]


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise TmkdError(f"{path}: not JSON ({first_line(error)})") from None


def _object(path: Path) -> dict[str, Any]:
    value = _read(path)
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True, eq=False)
class EmbeddingModel:
    """Encoder whose pooled states are embeddings, float32 (texts, width)."""

    encoder: PreTrainedModel
    tokenizer: TextTokenizer
    pad_id: int
    settings: EmbeddingSettings
    device: str
    precision: str

    def similarities(
        self, questions: Sequence[str], passages: Sequence[str], done: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Similarity of each question and its passage, float32 (pairs,); each distinct text is embedded once.

        `done` is called with numbers of pairs.
        """
        sides = []
        for texts, prompt in ((questions, self.settings.question_prompt), (passages, self.settings.passage_prompt)):
            distinct = list(dict.fromkeys(texts))
            place = {text: row for row, text in enumerate(distinct)}
            vectors = self._embed([prompt + text for text in distinct])
            sides.append(vectors[[place[text] for text in texts]])
        if done is not None:
            done(len(questions))
        found: np.ndarray = np.einsum("nd,nd->n", *sides)
        return found

    def mean_tokens(self, questions: Sequence[str], passages: Sequence[str]) -> float:
        """Token ids per pair: those of its two texts."""
        sides = (
            (questions, self.settings.question_prompt),
            (passages, self.settings.passage_prompt),
        )
        return float(
            sum(self.tokenizer.encode([prompt + text for text in texts]).lengths.mean() for texts, prompt in sides)
        )

    def at(self, device: str, precision: str) -> EmbeddingModel:
        """The same model, working on other hardware."""
        place(self.encoder, device)
        return replace(self, device=device, precision=precision)

    def _embed(self, texts: Sequence[str]) -> np.ndarray:
        if self.settings.lower_case:
            texts = [text.lower() for text in texts]
        vectors = batched_logits(self._pooled, self.tokenizer.encode(texts), self.pad_id, self.device, self.precision)
        if self.settings.similarity == "cosine":
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return vectors

    def _pooled(self, inputs: dict[str, Tensor]) -> Tensor:
        kept = dict(inputs)
        if getattr(self.encoder.config, "type_vocab_size", 0) < 2:
            kept.pop("token_type_ids")
        states: Tensor = self.encoder(**kept).last_hidden_state.float()
        mask = inputs["attention_mask"].bool().unsqueeze(2)
        if self.settings.pooling == "cls":
            return states[:, 0]
        if self.settings.pooling == "lasttoken":
            last = inputs["attention_mask"].sum(dim=1) - 1
            return states[torch.arange(len(states), device=states.device), last]
        if self.settings.pooling == "max":
            return states.masked_fill(~mask, -torch.inf).amax(dim=1)
        return (states * mask).sum(dim=1) / mask.sum(dim=1)


def open_embedding_model(
    folder: Path, device: str, precision: str, settings: EmbeddingSettings | None = None
) -> EmbeddingModel:
    """Open an encoder as an embedding model; without `settings` its folder says how it pools.

    Raises: TmkdError when it cannot be opened, is not whole, or its pooling is not known.
    """
    chosen = settings or embedding_settings(folder)
    encoder = open_encoder(folder)
    pairs = PairTokenizer.load(folder, longest_pair(encoder, max(chosen.max_length, 16)))
    check_ids(folder, pairs, str(folder))
    tokenizer = TextTokenizer(pairs, longest_pair(encoder, chosen.max_length))
    place(encoder.eval(), device)
    return EmbeddingModel(encoder, tokenizer, pairs.settings.pad_id, chosen, device, precision)
