"""Configuration of a student, as config.json of its folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedConfig

from tmkd.data.labels import LabelSet
from tmkd.data.text import STUDENT, TEXT_RULES
from tmkd.network.encoder import Pool
from tmkd.network.headers import Header


class StudentConfig(PreTrainedConfig):
    """Configuration of a student: its encoder's, the vector that the headers read, the headers, the classes.

    `headers` are [name, teacher digest or null] in the order of their logits; `max_pair_length` is in token ids. The
    last four fields repeat the encoder's: `PairTokenizer.load` reads them and `text_rules` from config.json.
    """

    model_type = STUDENT

    encoder: dict[str, Any] | None = None
    pool: str = "pooler"
    headers: list[Any] | None = None
    task: str = ""
    positive: str = ""
    max_pair_length: int = 128
    text_rules: int = 0
    pad_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    sep_token_id: int | None = None
    type_vocab_size: int | None = None

    @classmethod
    def of(
        cls, encoder: dict[str, Any], pool: Pool, labels: LabelSet, headers: Sequence[Header], max_length: int
    ) -> StudentConfig:
        """Configuration of a student with this encoder, these classes and these headers."""
        return cls(
            encoder=encoder,
            pool=pool,
            headers=[[header.name, header.digest] for header in headers],
            task=labels.task,
            positive=labels.positive,
            max_pair_length=max_length,
            text_rules=TEXT_RULES,
            id2label=dict(enumerate(labels.names)),
            label2id={name: index for index, name in enumerate(labels.names)},
            problem_type="single_label_classification",
            pad_token_id=encoder.get("pad_token_id"),
            eos_token_id=encoder.get("eos_token_id"),
            sep_token_id=encoder.get("sep_token_id"),
            type_vocab_size=encoder.get("type_vocab_size"),
        )
