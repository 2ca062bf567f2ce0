"""Teacher protocol: the methods that every kind of teacher has, and the part of a run that they read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus
from tmkd.engines.engine import Engine
from tmkd.pooler import Use
from tmkd.pretrained.find import ModelFolder
from tmkd.recipe.parts import FreshPooler, SourceSpec
from tmkd.recipe.schema import Recipe, TeacherSpec
from tmkd.train.estimate import Estimate, Sizes

if TYPE_CHECKING:
    from tmkd.teachers.network import Network
    from tmkd.train.hardware import Hardware

Facts = dict[str, Any]  # of a manifest


class Run(Protocol):
    """Part of a run that teachers read: its recipe, its folders, its corpora, and files from outside."""

    recipe: Recipe
    base: Path

    @property
    def engine(self) -> Engine:
        """Engine that work on many shards is done by."""

    def teacher_folder(self, teacher: str) -> Path:
        """Folder of a teacher's artifact."""

    def soft_folder(self, corpus: str, teacher: str) -> Path:
        """Folder of a teacher's logits for a corpus."""

    def corpus_artifact(self, corpus: str) -> Path:
        """Artifact that a corpus belongs to."""

    def corpus(self, corpus: str) -> Corpus:
        """A corpus that is collected."""

    def labels(self, task: str) -> LabelSet:
        """Classes of a task."""

    def pretrained(self, name: str) -> ModelFolder:
        """Local folder of a pretrained model."""

    def fresh_pooler(self, asked: FreshPooler, base: str, use: Use) -> bool:
        """Whether a model that starts from this base gets a fresh pooler."""

    def digests(self, sources: tuple[SourceSpec, ...]) -> dict[str, str]:
        """Digests of users' files, by `file NAME`."""

    def demanded_precision(self) -> dict[str, str]:
        """Precision that the recipe demands, as a setting."""

    def hardware(self) -> Hardware:
        """Device and precision to work in."""


class Teacher(Protocol):
    """One of T1..TN, of any kind: made once (§4.4), then it scores corpora (§3.1.1 step 2)."""

    @property
    def name(self) -> str:
        """Its key in the recipe."""

    @property
    def spec(self) -> TeacherSpec:
        """Its entry in the recipe."""

    @property
    def pretrained(self) -> str | None:
        """Pretrained model that its network is or starts from; None without a network: then it is not evaluated."""

    @property
    def scores_by_default(self) -> bool:
        """True where it scores every corpus of its task unless `scores` says otherwise."""

    def folder(self, run: Run) -> Path:
        """Folder of its network, or of its stored scores."""

    def needs(self, run: Run) -> dict[str, Path]:
        """Sealed artifacts that it is made from."""

    def outside(self, run: Run) -> dict[str, str]:
        """Digests of models and files outside the run that it is made from."""

    def settings(self, run: Run) -> dict[str, Any]:
        """Settings that decide its logits."""

    def check(self, run: Run, pairs: Mapping[str, pa.Table]) -> None:
        """Read its files before work starts; `pairs` are those of the corpora it scores, as far as they are known.

        Raises: TmkdError for the first fault.
        """

    def make(self, run: Run, folder: Path) -> Facts:
        """Make its artifact in `folder`; returns facts for the manifest."""

    def score(self, run: Run, corpus: str, folder: Path, digest: str) -> Facts:
        """Write its logits for a corpus into `folder`; `digest` is its artifact's.  Returns facts for the manifest."""

    def open(self, run: Run, hardware: Hardware) -> Network:
        """Its network, made and opened.  Raises: TmkdError when it has none or cannot be opened."""

    def making(self, run: Run, sizes: Sizes) -> Estimate:
        """Estimate of `make`."""

    def scoring(self, run: Run, pairs: int) -> Estimate:
        """Estimate of `score`."""
