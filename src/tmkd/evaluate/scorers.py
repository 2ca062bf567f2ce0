"""Scorers: pairs → probabilities, alike for a teacher, a student and the mean of several (§4.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import nn

from tmkd.errors import TmkdError
from tmkd.metrics.quality import softmax
from tmkd.network import open_student
from tmkd.network.device import place
from tmkd.network.scoring import network_logits
from tmkd.store import MANIFEST
from tmkd.teachers.network import Network
from tmkd.train.hardware import Hardware

Probabilities = npt.NDArray[np.float64]
Logits = Callable[[Sequence[str], Sequence[str]], npt.NDArray[np.float32]]
MeanTokens = Callable[[Sequence[str], Sequence[str]], float]


class Model(Protocol):
    """Model of a row as its report has it; `parameters` and `bytes` (on disk) count all its members."""

    @property
    def name(self) -> str: ...
    @property
    def parameters(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def precision(self) -> str: ...

    def mean_tokens(self, questions: Sequence[str], passages: Sequence[str]) -> float:
        """Token ids or words per pair as the model reads them, padding aside."""
        ...


class Scorer(Model, Protocol):
    """Scorer of pairs, pairs → probabilities."""

    def probabilities(self, questions: Sequence[str], passages: Sequence[str]) -> Probabilities:
        """Probability of each class, float64 (pairs, classes), in the order of the task's label names."""
        ...


@dataclass(frozen=True, eq=False)
class NetworkScorer:
    """One network: `logits` maps pairs to float32 (pairs, classes), in batches that depend on the pairs alone."""

    name: str
    logits: Logits
    tokens: MeanTokens
    parameters: int
    bytes: int
    precision: str

    def probabilities(self, questions: Sequence[str], passages: Sequence[str]) -> Probabilities:
        """Softmax of the logits in float64, so that sure pairs do not tie; a student's are Eq. 6.

        Raises: TmkdError when a logit is NaN or infinite.
        """
        logits = self.logits(questions, passages).astype(np.float64)
        if not np.isfinite(logits).all():
            pair = int((~np.isfinite(logits).all(axis=1)).argmax())
            raise TmkdError(
                f"{self.name}: its logits for the pair '{questions[pair][:60]}' are not finite; "
                "train it again with a lower learning rate"
            )
        return softmax(logits)

    def mean_tokens(self, questions: Sequence[str], passages: Sequence[str]) -> float:
        """Token ids per pair, special tokens included, after truncation."""
        return self.tokens(questions, passages)


@dataclass(frozen=True, eq=False)
class MeanScorer:
    """Several scorers as one: the mean of their probabilities, the sum of their sizes (ensemble, m-o-m)."""

    name: str
    members: tuple[Scorer, ...]

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError(f"{self.name}: a mean needs at least one member")

    @property
    def parameters(self) -> int:
        """Parameters of all members."""
        return sum(member.parameters for member in self.members)

    @property
    def bytes(self) -> int:
        """Bytes on disk of all members."""
        return sum(member.bytes for member in self.members)

    @property
    def precision(self) -> str:
        """The members' precisions, each named once."""
        return "+".join(dict.fromkeys(member.precision for member in self.members))

    def probabilities(self, questions: Sequence[str], passages: Sequence[str]) -> Probabilities:
        """Mean of the members' probabilities, float64 (pairs, classes)."""
        each = [member.probabilities(questions, passages) for member in self.members]
        mean: Probabilities = np.mean(each, axis=0)
        return mean

    def mean_tokens(self, questions: Sequence[str], passages: Sequence[str]) -> float:
        """Mean of the members' means: each may have a tokenizer of its own."""
        return float(np.mean([member.mean_tokens(questions, passages) for member in self.members]))


def from_network(name: str, network: Network, folder: Path) -> NetworkScorer:
    """A teacher's network; its bytes are those of the model in `folder`."""
    precision = network.hardware.precision
    return NetworkScorer(
        name, network.logits, network.mean_tokens, network.parameters, bytes_on_disk(folder), precision
    )


def from_student_folder(name: str, folder: Path, hardware: Hardware) -> NetworkScorer:
    """A saved student; softmax of its logits is Eq. 6.

    Raises: TmkdError when the folder cannot be opened.
    """
    student = open_student(folder, f"student {name}")
    place(student, hardware.device)
    tokenizer = student.tokenizer
    pad_id = tokenizer.settings.pad_id

    def logits(questions: Sequence[str], passages: Sequence[str]) -> npt.NDArray[np.float32]:
        tokens = tokenizer.encode(questions, passages)
        return network_logits(
            student, lambda network, inputs: network(**inputs).logits, tokens, pad_id,
            hardware.device, hardware.precision,
        )  # fmt: skip

    def mean_tokens(questions: Sequence[str], passages: Sequence[str]) -> float:
        return float(tokenizer.encode(questions, passages).lengths.mean())

    return NetworkScorer(name, logits, mean_tokens, parameters(student), bytes_on_disk(folder), hardware.precision)


def parameters(network: nn.Module) -> int:
    """Number of trained parameters, each counted once."""
    return sum(weight.numel() for weight in network.parameters())


def bytes_on_disk(folder: Path) -> int:
    """Bytes of the files a model is loaded from: its weights, configuration and tokenizer."""
    files = [path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST]
    return sum(path.stat().st_size for path in files if path.suffix in {".safetensors", ".json", ".txt", ".model"})
