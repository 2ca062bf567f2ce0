"""Kinds of teacher: fine-tuned here, ready-made, an embedding model, or scores made elsewhere. A new kind needs
a class and a branch of `teacher_of` here, and a field of `TeacherSpec`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tmkd.errors import TmkdError
from tmkd.recipe.agreement import FRAGMENT
from tmkd.recipe.parts import SourceSpec
from tmkd.recipe.schema import Recipe, TeacherSpec
from tmkd.store import digest_file, digest_json
from tmkd.teachers.network_scores import BYTES_PER_LOGITS, score_by_network, scoring_by_network, settings_of
from tmkd.teachers.teacher import Facts, Run, Teacher
from tmkd.train.estimate import Estimate, Sizes, training_seconds, weight_bytes

if TYPE_CHECKING:
    from tmkd.teachers.network import Network
    from tmkd.train.hardware import Hardware


def teacher_of(name: str, spec: TeacherSpec) -> Teacher:
    """Teacher of a recipe's entry: the one place that asks for its kind."""
    if spec.base is not None:
        return FineTuned(name, spec, spec.base)
    if spec.model is not None:
        return ReadyMade(name, spec, spec.model)
    if spec.similarity is not None:
        return Similarity(name, spec, spec.similarity)
    assert spec.file is not None  # TeacherSpec has exactly one of the four
    return Imported(name, spec, spec.file)


def teachers_of(recipe: Recipe) -> dict[str, Teacher]:
    """All teachers of a recipe by name, in its order."""
    return {name: teacher_of(name, spec) for name, spec in recipe.teachers.items()}


@dataclass(frozen=True)
class FineTuned:
    """Teacher trained on its task's golden labels from a pretrained model (Eq. 2)."""

    name: str
    spec: TeacherSpec
    pretrained: str

    scores_by_default = True

    def folder(self, run: Run) -> Path:
        return run.teacher_folder(self.name)

    def needs(self, run: Run) -> dict[str, Path]:
        return {f"collect/{self.spec.task}": run.corpus_artifact(self.spec.task)}

    def outside(self, run: Run) -> dict[str, str]:
        return {f"pretrained {self.pretrained}": run.pretrained(self.pretrained).digest}

    def settings(self, run: Run) -> dict[str, Any]:
        return settings_of(self._decided(run)) | run.demanded_precision()

    def _decided(self, run: Run) -> TeacherSpec:
        """Its entry with `fresh_pooler` decided."""
        fresh = run.fresh_pooler(self.spec.fresh_pooler, self.pretrained, "classifier")
        return self.spec.model_copy(update={"fresh_pooler": fresh})

    def check(self, run: Run, pairs: Mapping[str, pa.Table]) -> None:
        from tmkd.data.pairs import require_golden
        from tmkd.teachers.finetune import untrained

        if self.spec.unlabelled == "error":
            require_golden(pairs[f"{self.spec.task}/train"])
        base = run.pretrained(self.pretrained).path
        untrained(self.name, self._decided(run), base, run.labels(self.spec.task))

    def make(self, run: Run, folder: Path) -> Facts:
        from tmkd.teachers.finetune import finetune

        base = run.pretrained(self.pretrained).path
        train, dev = (run.corpus(f"{self.spec.task}/{split}") for split in ("train", "dev"))
        return finetune(self.name, self._decided(run), base, train, dev, folder, run.hardware())

    def score(self, run: Run, corpus: str, folder: Path, digest: str) -> Facts:
        return score_by_network(self, run, corpus, folder, digest)

    def open(self, run: Run, hardware: Hardware) -> Network:
        return _open(self, run, hardware)

    def making(self, run: Run, sizes: Sizes) -> Estimate:
        pairs, base = sizes[f"{self.spec.task}/train"], run.pretrained(self.pretrained).path
        return Estimate(pairs, training_seconds(base, None, pairs * self.spec.fit.epochs), weight_bytes(base))

    def scoring(self, run: Run, pairs: int) -> Estimate:
        return scoring_by_network(run, self.pretrained, pairs)


@dataclass(frozen=True)
class ReadyMade:
    """Teacher that somebody else has fine-tuned: its weights stay where they are."""

    name: str
    spec: TeacherSpec
    pretrained: str

    scores_by_default = True

    def folder(self, run: Run) -> Path:
        return run.pretrained(self.pretrained).path

    def needs(self, run: Run) -> dict[str, Path]:
        return {}

    def outside(self, run: Run) -> dict[str, str]:
        return {f"pretrained {self.pretrained}": run.pretrained(self.pretrained).digest}

    def settings(self, run: Run) -> dict[str, Any]:
        # A teacher's digest names its scores, which depend on the precision too.
        return settings_of(self.spec) | run.demanded_precision()

    def check(self, run: Run, pairs: Mapping[str, pa.Table]) -> None:
        self.make(run, run.pretrained(self.pretrained).path)

    def make(self, run: Run, folder: Path) -> Facts:
        from tmkd.train.hardware import Hardware

        self.open(run, Hardware("cpu", "fp32"))  # its classes match ours, or this raises
        return {"ready_made": self.pretrained}

    def score(self, run: Run, corpus: str, folder: Path, digest: str) -> Facts:
        return score_by_network(self, run, corpus, folder, digest)

    def open(self, run: Run, hardware: Hardware) -> Network:
        return _open(self, run, hardware)

    def making(self, run: Run, sizes: Sizes) -> Estimate:
        return Estimate(0, 1, 0)

    def scoring(self, run: Run, pairs: int) -> Estimate:
        return scoring_by_network(run, self.pretrained, pairs)


@dataclass(frozen=True)
class Similarity:
    """Teacher that is an embedding model: its similarities as log-odds, fitted to the hand labels."""

    name: str
    spec: TeacherSpec
    pretrained: str

    scores_by_default = True

    def folder(self, run: Run) -> Path:
        return run.pretrained(self.pretrained).path

    def needs(self, run: Run) -> dict[str, Path]:
        return {f"collect/{self.spec.task}": run.corpus_artifact(self.spec.task)}

    def outside(self, run: Run) -> dict[str, str]:
        from tmkd.network.embeddings import embedding_files

        model = run.pretrained(self.pretrained)
        beside = {str(path.relative_to(model.path)): digest_file(path) for path in embedding_files(model.path)}
        return {f"pretrained {self.pretrained}": model.digest, "its embedding's settings": digest_json(beside)}

    def settings(self, run: Run) -> dict[str, Any]:
        return settings_of(self.spec) | run.demanded_precision()

    def check(self, run: Run, pairs: Mapping[str, pa.Table]) -> None:
        from tmkd.network.embeddings import embedding_settings

        embedding_settings(run.pretrained(self.pretrained).path)

    def make(self, run: Run, folder: Path) -> Facts:
        from tmkd.data.golden import hand_labelled
        from tmkd.teachers.similarity import fit_similarity

        golden = hand_labelled(run.corpus(f"{self.spec.task}/train"), run.recipe.tasks[self.spec.task].train)
        return fit_similarity(self.name, run.pretrained(self.pretrained).path, golden, folder, run.hardware())

    def score(self, run: Run, corpus: str, folder: Path, digest: str) -> Facts:
        return score_by_network(self, run, corpus, folder, digest)

    def open(self, run: Run, hardware: Hardware) -> Network:
        from tmkd.teachers.similarity import open_similarity

        return open_similarity(self.folder(run), run.teacher_folder(self.name), hardware)

    def making(self, run: Run, sizes: Sizes) -> Estimate:
        return self.scoring(run, sizes[f"{self.spec.task}/train"])

    def scoring(self, run: Run, pairs: int) -> Estimate:
        return scoring_by_network(run, self.pretrained, pairs)


@dataclass(frozen=True)
class Imported:
    """Teacher whose scores were made elsewhere: a file of pairs and scores, no network."""

    name: str
    spec: TeacherSpec
    file: SourceSpec

    pretrained = None

    @property
    def scores_by_default(self) -> bool:
        return self.file.file.endswith(FRAGMENT)  # it has all that its teacher scored

    def folder(self, run: Run) -> Path:
        return run.teacher_folder(self.name)

    def needs(self, run: Run) -> dict[str, Path]:
        return {}

    def outside(self, run: Run) -> dict[str, str]:
        return run.digests((self.file,))

    def settings(self, run: Run) -> dict[str, Any]:
        return settings_of(self.spec)

    def check(self, run: Run, pairs: Mapping[str, pa.Table]) -> None:
        from tmkd.teachers.imported import read_scores, require_scores, rows_by_id

        row_of = rows_by_id(read_scores(self.file, self.spec, run.labels(self.spec.task), run.base)[0])
        for table in pairs.values() if self.spec.missing == "error" else ():
            require_scores(self.name, row_of, table)

    def make(self, run: Run, folder: Path) -> Facts:
        from tmkd.teachers.imported import store_scores

        return dict(store_scores(self.file, self.spec, run.labels(self.spec.task), folder, run.base))

    def score(self, run: Run, corpus: str, folder: Path, digest: str) -> Facts:
        from tmkd.teachers.imported import match_scores
        from tmkd.teachers.score import remove_stale

        pairs = run.corpus(corpus)
        gaps = match_scores(self.name, self.folder(run), pairs, folder, digest, self.spec.missing)
        remove_stale(folder, pairs, digest)
        return {"pairs": len(pairs), "missing": gaps}

    def open(self, run: Run, hardware: Hardware) -> Network:
        raise TmkdError(f"teacher {self.name}: its scores were made elsewhere, it has no network")

    def making(self, run: Run, sizes: Sizes) -> Estimate:
        return Estimate(0, 1, 0)

    def scoring(self, run: Run, pairs: int) -> Estimate:
        return Estimate(pairs, 1, pairs * BYTES_PER_LOGITS)


def _open(teacher: FineTuned | ReadyMade, run: Run, hardware: Hardware) -> Network:
    from tmkd.teachers.network import load

    spec = teacher.spec
    return load(teacher.folder(run), run.labels(spec.task), spec.classes, spec.max_length, hardware, teacher.name)
