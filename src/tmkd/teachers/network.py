"""A teacher as a network: any AutoModelForSequenceClassification with its own tokenizer and maximum length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertForSequenceClassification,
    PreTrainedModel,
    RobertaForSequenceClassification,
)

from tmkd.data.labels import LabelSet
from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError, first_line
from tmkd.network.encoder import quiet
from tmkd.network.first_token import first_token_state, reads_first_token
from tmkd.network.scoring import batched_logits
from tmkd.train.hardware import Hardware


def forward(model: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    """The model's logits (pairs, its classes); segments are given only to a family that knows them."""
    kept = dict(inputs)
    if getattr(model.config, "type_vocab_size", 0) < 2:
        kept.pop("token_type_ids", None)
    body: Any = getattr(model, "base_model", None)
    logits: Tensor
    if isinstance(model, BertForSequenceClassification) and reads_first_token(body):
        logits = model.classifier(model.dropout(body.pooler(first_token_state(body, **kept))))
    elif isinstance(model, RobertaForSequenceClassification) and reads_first_token(body):
        logits = model.classifier(first_token_state(body, **kept))
    else:
        logits = model(**kept).logits
    return logits


@dataclass(frozen=True)
class TeacherNetwork:
    """A loaded teacher; `order` picks its outputs in the order of our label names (None: it has one logit)."""

    model: PreTrainedModel
    tokenizer: PairTokenizer
    order: tuple[int, ...] | None
    hardware: Hardware

    def logits(
        self, questions: Sequence[str], passages: Sequence[str], done: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Raw logits, float32 (pairs, classes); a single logit s becomes (0, s)."""
        tokens = self.tokenizer.encode(questions, passages)
        pad_id, device, precision = self.tokenizer.settings.pad_id, self.hardware.device, self.hardware.precision
        raw = batched_logits(lambda inputs: forward(self.model, inputs), tokens, pad_id, device, precision, done)
        if self.order is None:
            return np.concatenate([np.zeros_like(raw), raw], axis=1)
        return np.ascontiguousarray(raw[:, list(self.order)])


def load(
    folder: Path, labels: LabelSet, classes: Mapping[str, str], max_length: int, hardware: Hardware, name: str
) -> TeacherNetwork:
    """Open a fine-tuned folder and match its classes with ours by name.

    Raises: TmkdError when the classes cannot be matched: they are never permuted silently.
    """
    model = open_model(folder, name)
    order = match_classes(model.config, labels, classes, name)
    tokenizer = PairTokenizer.load(folder, longest(model.config, max_length))
    model.config.pad_token_id = tokenizer.settings.pad_id
    return TeacherNetwork(model.to(hardware.device).eval(), tokenizer, order, hardware)


def open_model(folder: Path, name: str, **changes: Any) -> PreTrainedModel:
    """An AutoModelForSequenceClassification from a local folder: safetensors only, no code of the folder is run."""
    try:
        with quiet():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True, **changes)
            return AutoModelForSequenceClassification.from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                local_files_only=True,
                attn_implementation="eager",
                dtype=torch.float32,
                ignore_mismatched_sizes=bool(changes),  # another task's head gives way to a fresh one
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise TmkdError(f"teacher {name}: {folder} cannot be opened: {first_line(error)}") from error


def longest(config: Any, max_length: int) -> int:
    """The teacher's maximum length in its own token ids, bounded by the positions the model has."""
    positions = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or max_length
    # RoBERTa numbers its positions from pad_token_id + 1.
    offset = config.pad_token_id + 1 if "roberta" in config.model_type else 0
    return int(min(max_length, positions - offset))


def match_classes(config: Any, labels: LabelSet, classes: Mapping[str, str], name: str) -> tuple[int, ...] | None:
    """For each of our label names, the model's output index; None for a one-logit model of a two-class task."""
    count = int(config.num_labels)
    if count == 1:
        if len(labels.names) != 2 or labels.positive_index != 1:
            raise TmkdError(f"teacher {name}: it has one logit; that fits two classes with the positive one last")
        return None
    theirs = {str(label).lower(): int(index) for index, label in config.id2label.items()}
    wanted = [classes.get(label, label).lower() for label in labels.names]
    if not count == len(labels.names) == len(theirs) or set(wanted) != set(theirs):
        raise TmkdError(
            f"teacher {name}: its classes are {', '.join(theirs)}, the task's are {', '.join(labels.names)}; "
            f"map them with classes: {{ours: theirs}}"
        )
    return tuple(theirs[label] for label in wanted)
