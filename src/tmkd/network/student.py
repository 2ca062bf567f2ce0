"""Student model of transformers: encoder and headers, saved to and loaded from an ordinary folder."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from tmkd.data.labels import LabelSet
from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError, first_line
from tmkd.network.encoder import (
    ATTENTION,
    Pool,
    bottom_layers,
    check_body,
    encoder_config,
    encoder_from_config,
    quiet,
    represent,
    require_positions,
)
from tmkd.network.headers import Header, Headers, aggregate
from tmkd.network.opening import check_vocabulary, check_weights
from tmkd.network.same_ids import check_ids
from tmkd.network.scoring import batched_logits
from tmkd.network.student_config import StudentConfig
from tmkd.ranking import Predictions, Probabilities, RankedPassage, predictions, ranking

TOKENIZER_FILES = ("tokenizer_config.json", "special_tokens_map.json")  # beside tokenizer.json


@dataclass
class StudentOutput(ModelOutput):
    """logits (pairs, classes): log of Eq. 6; header_logits (pairs, headers, classes): raw; all float32."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    header_logits: Tensor | None = None


class Student(PreTrainedModel):
    """Student of the paper (§3.2): the softmax of its logits is Eq. 6; `header_logits` are the headers' own."""

    config: StudentConfig
    config_class = StudentConfig
    main_input_name = "input_ids"

    def __init__(self, config: StudentConfig) -> None:
        super().__init__(config)
        self.encoder = encoder_from_config(dict(config.encoder or {}), self.pool)
        named = [Header(name, digest) for name, digest in config.headers or []]
        self.headers = Headers(named, self.encoder.config.hidden_size, len(self.labels.names))
        self.post_init()  # type: ignore[no-untyped-call]

    @classmethod
    def start(
        cls,
        folder: Path,
        layers: int,
        pool: Pool,
        labels: LabelSet,
        headers: Sequence[Header],
        max_length: int,
        seed: int,
    ) -> Self:
        """Create a student: the bottom `layers` of the pretrained encoder in `folder`, and headers drawn with `seed`.

        `max_length` is the longest pair in token ids. Raises: TmkdError as `bottom_layers`, or when the encoder has
        fewer positions than `max_length`.
        """
        with _seeded(seed):  # the folder may lack weights too, such as those of the pooler
            encoder = bottom_layers(folder, layers, pool)
            student = cls(StudentConfig.of(encoder_config(encoder), pool, labels, headers, max_length))
        check_encoder(encoder, pool, max_length, folder)
        student.encoder = encoder
        return student

    @classmethod
    def from_pretrained(cls, *arguments: Any, **options: Any) -> Self:
        """Load as transformers does, without a progress bar.  Raises: TmkdError when the folder lacks a weight."""
        with quiet():
            student, loaded = super().from_pretrained(*arguments, **{**options, "output_loading_info": True})
        check_weights(student, loaded, str(student.name_or_path))
        opened: Self = student
        return opened

    def with_headers(self, labels: LabelSet, headers: Sequence[Header], seed: int) -> Self:
        """Create the student of the next stage: this encoder, and these headers.

        A header carries over only if its name, its teacher's digest and the classes are the same; others are fresh.
        """
        old = self.config
        with _seeded(seed):
            student = type(self)(StudentConfig.of(old.encoder or {}, self.pool, labels, headers, old.max_pair_length))
        student.encoder = copy.deepcopy(self.encoder)
        if labels == self.labels:
            student.headers.carry(self.headers)
        return student

    @property
    def labels(self) -> LabelSet:
        """The classes, in the order of the logits."""
        names: dict[Any, str] = self.config.id2label or {}
        return LabelSet(self.config.task, tuple(names[index] for index in sorted(names)), self.config.positive)

    @property
    def max_length(self) -> int:
        """The longest pair in token ids."""
        return int(self.config.max_pair_length)

    @property
    def pool(self) -> Pool:
        """Vector that the headers read: the pooler's output, or the first token's last hidden state."""
        return "pooler" if self.config.pool == "pooler" else "first"

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> StudentOutput:
        """Inputs int64 (pairs, longest), labels int64 (pairs,) → StudentOutput, float32 also under autocast."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        vector = represent(self.encoder, self.pool, input_ids, mask, token_type_ids)
        with torch.autocast(vector.device.type, enabled=False):  # teachers' logits have more digits than bf16
            header_logits = self.headers(vector.float())
            logits = aggregate(header_logits)
        loss = None if labels is None else functional.nll_loss(logits, labels)
        return StudentOutput(loss=loss, logits=logits, header_logits=header_logits)

    def save(self, folder: Path, tokenizer_folder: Path) -> None:
        """Write config.json, model.safetensors and the tokenizer of the encoder it started from.

        Raises: TmkdError when they cannot be written.
        """
        try:
            self.config._name_or_path = ""  # no local path in an artifact
            with quiet():
                self.save_pretrained(folder)
            for name in TOKENIZER_FILES:
                if (tokenizer_folder / name).is_file():
                    shutil.copyfile(tokenizer_folder / name, folder / name)
        except (OSError, SafetensorError) as error:
            raise TmkdError(f"{folder}: the student cannot be written: {error}") from error
        PairTokenizer.load(tokenizer_folder, self.max_length).save(folder)

    @cached_property
    def tokenizer(self) -> PairTokenizer:
        """Tokenizer of the folder that the student was loaded from."""
        if not self.name_or_path:
            raise TmkdError("this student was not loaded from a folder: save it, then Student.from_pretrained(folder)")
        return PairTokenizer.load(Path(self.name_or_path), self.max_length)

    def predict_proba(self, pairs: Sequence[tuple[str, str]]) -> Probabilities:
        """Probabilities (Eq. 6) of (question, passage) pairs, float32 (pairs, classes)."""
        if not pairs:
            return np.empty((0, len(self.labels.names)), dtype=np.float32)
        tokens = self.tokenizer.encode([question for question, _ in pairs], [passage for _, passage in pairs])
        training = self.training
        self.train(False)
        logits: Probabilities = batched_logits(
            lambda inputs: self(**inputs).logits, tokens, self.tokenizer.settings.pad_id, self.device.type, "fp32"
        )
        self.train(training)
        return np.exp(logits)

    def predict(self, pairs: Sequence[tuple[str, str]]) -> Predictions:
        """Predict (pairs,): the positive class's probability, float32; with three or more the class index, int64."""
        return predictions(self.predict_proba(pairs), self.labels)

    def rank(
        self, question: str, passages: Sequence[str], top_k: int | None = None, return_documents: bool = False
    ) -> list[RankedPassage]:
        """Rank passages by the probability of the positive class, the best first; equals keep their order.

        Returns {"corpus_id": index in `passages`, "score": probability}, with "text" if `return_documents`.
        """
        probabilities = self.predict_proba([(question, passage) for passage in passages])
        return ranking(probabilities, self.labels, passages, top_k, return_documents)


def open_student(folder: Path, name: str = "a student") -> Student:
    """Open a saved student for scoring, in evaluation mode; nothing is downloaded. Errors call it `name`.

    Raises: TmkdError when the folder holds no student or is damaged.
    """
    try:
        student = Student.from_pretrained(folder, local_files_only=True, attn_implementation=ATTENTION)
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise TmkdError(f"{folder}: cannot be opened as {name}: {first_line(error)}") from error
    return student.eval()


def check_encoder(encoder: PreTrainedModel, pool: Pool, max_length: int, folder: Path) -> None:
    """Check an encoder of `folder` as a student's: positions, token ids, and scores free of padding.

    Raises: TmkdError when it fails on pairs of `max_length` token ids, or its tokenizer differs from transformers'.
    """
    require_positions(encoder, max_length, folder)
    tokenizer = PairTokenizer.load(folder, max_length)
    check_ids(folder, tokenizer, str(folder))
    check_vocabulary(encoder, tokenizer, str(folder))
    check_body(encoder, pool, tokenizer, folder)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch inside the block, and restore the caller's random state after it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
