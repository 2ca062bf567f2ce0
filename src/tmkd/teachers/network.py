"""Network of a teacher: any AutoModelForSequenceClassification with its own tokenizer and maximum length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
    RobertaForSequenceClassification,
)

from tmkd.data.labels import LabelSet
from tmkd.data.text import PairTokenizer, reads_token_types
from tmkd.errors import TmkdError
from tmkd.network.device import place
from tmkd.network.encoder import quiet
from tmkd.network.first_token import first_token_state, reads_first_token
from tmkd.network.opening import check_vocabulary, check_weights, longest_pair, reads_padding, refusing
from tmkd.network.same_ids import check_ids
from tmkd.network.scoring import network_logits
from tmkd.pretrained.find import model_config
from tmkd.train.hardware import Hardware


def forward(model: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    """The model's logits (pairs, its classes); segments are given only to a family that knows them."""
    kept, config = dict(inputs), cast("Any", model.config)
    if not reads_token_types(getattr(config, "type_vocab_size", None), config.model_type):
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


class Network(Protocol):
    """Network of a teacher of any kind, opened."""

    @property
    def hardware(self) -> Hardware:
        """Device and precision that it works in."""

    @property
    def parameters(self) -> int:
        """Number of trained parameters."""

    def at(self, hardware: Hardware) -> Network:
        """The same, working on other hardware."""

    def logits(
        self, questions: Sequence[str], passages: Sequence[str], done: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Raw logits, float32 (pairs, classes); `done` is called with numbers of pairs."""

    def mean_tokens(self, questions: Sequence[str], passages: Sequence[str]) -> float:
        """Token ids per pair as the network reads them, padding aside."""


@dataclass(frozen=True)
class TeacherNetwork:
    """Loaded teacher; `order` picks its outputs in the order of our label names (None: it has one logit).

    One that reads padding is not `padded`: only pairs of one length share a batch.
    """

    model: PreTrainedModel
    tokenizer: PairTokenizer
    order: tuple[int, ...] | None
    hardware: Hardware
    padded: bool = True

    @property
    def parameters(self) -> int:
        """Number of trained parameters, each counted once."""
        return sum(weight.numel() for weight in self.model.parameters())

    def at(self, hardware: Hardware) -> TeacherNetwork:
        """The same, working on other hardware."""
        return replace(self, hardware=hardware)

    def mean_tokens(self, questions: Sequence[str], passages: Sequence[str]) -> float:
        """Token ids per pair, special tokens included, after truncation."""
        return float(self.tokenizer.encode(questions, passages).lengths.mean())

    def logits(
        self, questions: Sequence[str], passages: Sequence[str], done: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Raw logits, float32 (pairs, classes); a single logit s becomes (0, s)."""
        tokens = self.tokenizer.encode(questions, passages)
        raw = network_logits(
            self.model, forward, tokens, self.tokenizer.settings.pad_id,
            self.hardware.device, self.hardware.precision, done, self.padded,
        )  # fmt: skip
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
    network = in_own_order(folder, model, max_length)
    padded = not reads_padding(network.logits, network.tokenizer.settings.max_length, f"teacher {name}: {folder}")
    place(model, hardware.device)
    return replace(network, order=order, hardware=hardware, padded=padded)


def in_own_order(folder: Path, model: PreTrainedModel, max_length: int) -> TeacherNetwork:
    """A model with the tokenizer of its folder and its outputs as they are, on the CPU in float32.

    Its pairs have at most `max_length` token ids, or as many as the model has positions for.
    """
    tokenizer = PairTokenizer.load(folder, longest_pair(model, max_length))
    check_ids(folder, tokenizer, str(folder))
    check_vocabulary(model, tokenizer, str(folder))
    model.config.pad_token_id = tokenizer.settings.pad_id
    return TeacherNetwork(model.eval(), tokenizer, tuple(range(model.config.num_labels)), Hardware("cpu", "fp32"))


def open_model(folder: Path, name: str, **changes: Any) -> PreTrainedModel:
    """Open an AutoModelForSequenceClassification from a local folder; `changes` to its config give it a fresh head.

    Only safetensors are read and no code of the folder is run. Raises: TmkdError when a weight of the model is not in
    the folder, or one in the folder has no place in the model, a fresh head's apart.
    """
    subject = f"teacher {name}: {folder}"
    _check_names(folder, subject)
    with refusing(f"{subject} cannot be opened"), quiet():
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True, **changes)
        model, loaded = AutoModelForSequenceClassification.from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            local_files_only=True,
            attn_implementation="eager",
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # told below; another task's head gives way to a fresh one
            output_loading_info=True,
        )
    check_weights(model, loaded, subject, fresh_head=bool(changes))
    opened: PreTrainedModel = model
    return opened


def _check_names(folder: Path, subject: str) -> None:
    """Check the form of id2label, of which transformers' own errors name neither the key nor what is wrong.

    Raises: TmkdError when it is there and does not give a name to each number.
    """
    try:
        names = model_config(folder).get("id2label")
    except (OSError, TmkdError):
        return  # told by transformers
    if names is not None and not (isinstance(names, dict) and all(key.isdecimal() for key in names)):
        raise TmkdError(
            f"{subject}: id2label of its config.json does not give names to numbers, as "
            '{"0": "no", "1": "yes"} does; correct it'
        )


def match_classes(
    config: PreTrainedConfig, labels: LabelSet, classes: Mapping[str, str], name: str
) -> tuple[int, ...] | None:
    """Output index of each of our label names; None for a one-logit model of a two-class task."""
    count = int(config.num_labels)
    if count == 1:
        if len(labels.names) != 2 or labels.positive_index != 1:
            raise TmkdError(f"teacher {name}: it has one logit; that fits two classes with the positive one last")
        return None
    theirs = {str(label).lower(): int(index) for index, label in config.id2label.items()}
    for label, index in (config.label2id or {}).items():
        if theirs.get(str(label).lower(), int(index)) != int(index):
            raise TmkdError(
                f"teacher {name}: class '{label}' is {theirs[str(label).lower()]} in id2label of its config.json, and "
                f"{index} in label2id; correct one of the two"
            )
    if count != len(labels.names):
        raise TmkdError(
            f"teacher {name}: it has {count} classes ({', '.join(theirs)}), the task has {len(labels.names)} "
            f"({', '.join(labels.names)}); take one of this task, or fine-tune it as base"
        )
    if sorted(map(int, config.id2label)) != [*range(count)]:
        raise TmkdError(f"teacher {name}: id2label of its config.json does not number its classes 0, 1, …; correct it")
    wanted = [classes.get(label, label).lower() for label in labels.names]
    if len(theirs) != count or set(wanted) != set(theirs):
        raise TmkdError(
            f"teacher {name}: its classes are {', '.join(theirs)}, the task's are {', '.join(labels.names)}; "
            f"map them with classes: {{ours: theirs}}"
        )
    return tuple(theirs[label] for label in wanted)
