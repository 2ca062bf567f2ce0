"""The typed recipe: one YAML file that describes a run, from pairs to report."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from tmkd.recipe.agreement import check
from tmkd.recipe.engine import EngineSpec
from tmkd.recipe.fit import FitSpec
from tmkd.recipe.parts import (
    Device,
    EvaluateSpec,
    FreshPooler,
    Name,
    PretrainedSpec,
    PriorSpec,
    Seed,
    Sources,
    SourceSpec,
    Spec,
    StudentSpec,
)
from tmkd.recipe.rows import RowSpec
from tmkd.recipe.seeds import OwnSeeds, SeedsSpec
from tmkd.recipe.serving import ExportSpec, ServeSpec


def _off(value: object) -> object:
    """Let YAML's bare off, which it reads as false, stand for the word."""
    return "off" if value is False else value


class CollectSpec(Spec):
    """A stage-1 corpus (§3.1.1 step 1): questions × top documents → their best passages, and pairs given directly."""

    task: Name
    """Task whose classes and guard it has."""
    documents: Sources = ()
    """Pages to search in: web archives, HTML, JSONL, tables."""
    passages: Sources = ()
    """Passages to search in, as they are."""
    questions: Sources = ()
    """Questions to search for: lists, or query logs with counts."""
    pairs: Sources = ()
    """Pairs that need no search; their labels are ignored."""
    run: SourceSpec | None = None
    """Another engine's TREC run, taken instead of our search."""
    words: int = Field(45, ge=1)
    """Length of a passage aimed at, in words (Table 3: 42.70)."""
    overlap: int = Field(0, ge=0)
    """Sentences that a passage repeats of the one before."""
    shortest: int = Field(0, ge=0)
    """Words that a passage needs; one with fewer is left out."""
    language: str | None = None
    """Language of the pages (en, de, …); those in another are left out. Without it: any."""
    top: int = Field(10, ge=1)
    """Documents taken per question."""
    keep: int | None = Field(None, ge=1)
    """Documents drawn from these, low ranks more rarely. Without it: all."""
    limit: int | None = Field(None, ge=1)
    """Most pairs of the corpus, given ones included. Without it: all that are found."""
    shuffle: bool = Field(False, exclude_if=lambda shuffle: not shuffle)
    """Under a `limit` keeps the first pairs of a random order of all that are found, by `seed`: a smaller limit gives a
    part of a larger one's. Else whole questions are kept."""
    sample: int | None = Field(None, ge=1)
    """Questions drawn, each in proportion to its count. Without it: all."""
    head: float | None = Field(None, gt=0, lt=1)
    """Share of all traffic whose questions, the most frequent ones, are marked as head."""
    near: bool = True
    """Takes near-duplicate pages and questions out."""
    guard: Annotated[Literal["near", "exact", "off"], BeforeValidator(_off)] = "near"
    """Rows removed because they repeat dev or test: near repetitions too, exact ones alone, or none."""
    seed: Seed = 1
    """Seed by which questions and documents are drawn."""
    extra: bool = Field(False, exclude_if=lambda extra: not extra)
    """Takes part only in `tmkd run --all`, or where a row is named that reads it."""

    @model_validator(mode="after")
    def _has_pairs(self) -> Self:
        if not self.pairs and not (self.questions and (self.documents or self.passages)):
            raise ValueError("give questions with documents or passages, or pairs")
        return self


class TaskSpec(Spec):
    """A labelled task: its files and its classes."""

    train: Sources
    """Training pairs; labels may be missing in some."""
    dev: Sources = ()
    """Pairs that choose the epoch and the best teacher. Without it: a tenth of train's questions."""
    tests: dict[Name, Sources]
    """Name → test set: accuracy and AUC are the first's, ranking measures the last's that can be ranked."""
    labels: tuple[str, ...] = Field(("no", "yes"), min_length=2)
    """Names of the classes 0, 1, …; YAML wants "no" and "yes" in quotes."""
    positive: str = "yes"
    """Class whose probability is the ranking score."""
    kind: Literal["qa", "nli"] = "qa"
    """`qa`: training rows with a question or passage of dev or test, or nearly one, go; `nli`: a shared premise is
    counted."""
    conflicts: Literal["error", "drop"] = "error"
    """Treatment of a pair with two different labels."""
    seeds: OwnSeeds = None
    """Those of the recipe's students' seeds that rows have on this task. Without it: all."""

    @model_validator(mode="after")
    def _positive_is_a_label(self) -> Self:
        if self.positive not in self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError(
                f"positive '{self.positive}' must be one of the labels {', '.join(self.labels)}, each named once"
            )
        if not self.tests:
            raise ValueError("name at least one test file under tests")
        if not self.dev and any(isinstance(source.threshold, PriorSpec) for source in self.train):
            raise ValueError("train: a threshold {prior: dev} needs a dev file; give one, or a number")
        taken = {"train", "dev"} & {*self.tests}
        if taken:
            raise ValueError(f"tests: '{min(taken)}' is the name of another split; call the test set otherwise")
        return self


class TeacherSpec(Spec):
    """One of T1..TN: exactly one of `base` (fine-tuned here), `model` (ready-made), `similarity`, `file` (imported)."""

    task: Name
    """Task whose classes it scores."""
    base: str | None = None
    """Pretrained model that is fine-tuned: a name under `pretrained`, a folder, or a hub id."""
    model: str | None = None
    """Ready-made classifier or cross-encoder, named likewise."""
    # Left out of settings while it is not there, as a source's layout.
    similarity: str | None = Field(None, exclude_if=lambda similarity: similarity is None)
    """Embedding model, named likewise: the cosine of question and passage, as log-odds fitted to the hand labels."""
    file: SourceSpec | None = None
    """File of scores, matched by the texts of the pairs; or a teacher of another run: an .npz file of its results."""
    imported: Literal["score", "probability", "logits"] = "probability"
    """Content of the score columns: one logit, a probability of the positive class, or a logit per class."""
    score_columns: tuple[str, ...] = ("score",)
    """Columns of the file that hold the scores."""
    missing: Literal["error", "drop"] = "error"
    """Treatment of pairs that the file has no score for; `drop` counts them, and each stage's `gaps` decides."""
    # These two are left out of settings while they are the default, as a source's layout.
    unlabelled: Literal["error", "drop"] = Field("error", exclude_if=lambda value: value == "error")
    """Training pairs without a golden label; `drop` leaves them out of the fine-tuning of `base`."""
    repeated: Literal["error", "mean"] = Field("error", exclude_if=lambda repeated: repeated == "error")
    """Treatment of a pair that the file scores twice differently."""
    scores: tuple[Name, ...] | None = None
    """Stage-1 corpora it scores. Without it: all of its task; for a file of scores: none."""
    first: int | None = Field(None, ge=1, exclude_if=lambda first: first is None)
    """Pairs of each stage-1 corpus that it scores, the first ones; a stage's `gaps` decides on the others. Without it:
    all."""
    named: bool = Field(False, exclude_if=lambda named: not named)
    """Teaches only in stages that name it: `all`, `best` and `each` leave it out, and so does the ensemble."""
    classes: dict[str, str] = Field(default_factory=dict)
    """Our class → the name that a ready-made model has for it, where they differ."""
    max_length: int = Field(128, ge=8)
    """Token ids per pair, specials included; the passage is cut first."""
    seed: Seed = 1
    """Seed of its header, dropout and order of pairs."""
    fresh_pooler: FreshPooler = "auto"
    """Draws the pooler of `base` anew; `auto` does where its own was never trained, as all-MiniLM's."""
    force: bool = False
    """Goes on with a teacher whose scores on dev separate nothing, or go against the labels; else the run stops."""
    fit: FitSpec = FitSpec()
    """Settings of the fine-tuning of `base`."""
    extra: bool = False
    """Takes part only in `tmkd run --all`."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(kind is not None for kind in (self.base, self.model, self.similarity, self.file)) != 1:
            raise ValueError(
                "give exactly one of base (fine-tune), model (ready-made), similarity (embedding model), "
                "file (imported scores)"
            )
        several = self.imported == "logits" or self.score_columns != ("score",)
        if self.file is not None and self.file.layout != "rows" and several:
            raise ValueError(
                f"layout {self.file.layout} has one score a pair; set imported to score (a logit) or probability, "
                "and take score_columns out"
            )
        return self


class Recipe(Spec):
    """One run. Names are the keys of its parts; a shared stage stands under `stages`, and rows `use` it."""

    name: Name
    """Name of the run's folder in `runs/`."""
    data: str = "."
    """Folder that file names are relative to, itself relative to the recipe."""
    seeds: SeedsSpec = SeedsSpec()
    """Seeds of students and teachers; with several the table has mean ± standard deviation."""
    device: Device = "auto"
    """Device that models run on; `auto` takes CUDA where there is some."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic of training and scoring; `auto` takes bf16 where the device is fast in it."""
    engine: EngineSpec = EngineSpec()
    """Where shards are collected, scored and answered."""
    pretrained: dict[str, PretrainedSpec] = Field(default_factory=dict)
    """Name → pretrained model, for `base` and `model`."""
    tasks: dict[Name, TaskSpec] = Field(min_length=1)
    """Name → labelled task."""
    collect: dict[Name, CollectSpec] = Field(default_factory=dict)
    """Name → stage-1 corpus."""
    teachers: dict[Name, TeacherSpec] = Field(default_factory=dict)
    """Name → teacher."""
    student: StudentSpec
    """The student's body."""
    rows: dict[Name, RowSpec] = Field(default_factory=dict)
    """Name → row of the results table."""
    evaluate: EvaluateSpec = EvaluateSpec()
    """Measurement of speed."""
    export: ExportSpec | None = None
    """Export for serving. Without it: none."""
    serve: ServeSpec | None = None
    """Answers to questions by the exported student. Without it: none."""
    fragments: str | None = None
    """Folder of finished rows, such as `../results/NAME`, relative to the recipe: one that is not in the run folder is
    not made again if this recipe made it, and `tmkd run` joins it. Without it: all rows are made."""

    _order: dict[str, tuple[str, ...]] = PrivateAttr()  # a copy without extras keeps it

    def model_post_init(self, context: Any) -> None:
        self._order = {"student": tuple(self.rows), "teacher": tuple(self.teachers)}

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        check(self)
        return self

    @property
    def order(self) -> dict[str, tuple[str, ...]]:
        """Names of all students' rows and teachers of the recipe as it was read, its extras too: kind → names."""
        return self._order

    def student_of(self, row: str) -> StudentSpec:
        """The recipe's student as a row has it."""
        return self.rows[row].student.over(self.student)

    def without_extras(self, kept: Collection[str] = ()) -> Recipe:
        """The recipe without the parts that only `tmkd run --all` makes; but with these rows, and what they read."""
        counted = {stage.steps_of for name in kept if name in self.rows for stage in self.rows[name].stages}
        rows = {name: row for name, row in self.rows.items() if not row.extra or name in (*kept, *counted)}
        taught = {name for row in rows.values() for stage in row.stages for name in stage.teachers}
        teachers = {
            name: teacher
            for name, teacher in self.teachers.items()
            if not teacher.extra or (teacher.named and name in taught)  # it changes no other row's teachers
        }
        export = self.export.of_rows(rows) if self.export is not None else None
        serve = self.serve if export is not None else None
        read = {stage.corpus for row in rows.values() for stage in row.stages} | {serve.collect if serve else ""}
        collect = {name: corpus for name, corpus in self.collect.items() if not corpus.extra or name in read}
        update = {"collect": collect, "teachers": teachers, "rows": rows, "export": export, "serve": serve}
        return self.model_copy(update=update)
