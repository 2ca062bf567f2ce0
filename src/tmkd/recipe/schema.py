"""The typed recipe: one YAML file that says what a run makes, from pairs to report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from tmkd.recipe.parts import (
    Device,
    EvaluateSpec,
    ExportSpec,
    FitSpec,
    Name,
    PretrainedSpec,
    Seed,
    SmallerSpec,
    Sources,
    SourceSpec,
    Spec,
    StudentSpec,
)


class CollectSpec(Spec):
    """A stage-1 corpus (§3.1.1 step 1): questions × top documents → their best passages, and pairs given directly.

    `words` is the passage length aimed at, `overlap` how many sentences a passage repeats of the one before; pages in
    another `language` (en, de, …) than this one are left out, and passages of fewer than `shortest` words. `top`
    documents are taken per question, of which `keep` are drawn, low ranks more rarely; `run` is another engine's TREC
    run to take instead of our search. Questions are drawn with `seed` while their pairs and those given are at most
    `limit`. `near` takes near-duplicate pages and questions out; `guard` says what counts as touching dev and test.
    """

    task: Name
    documents: Sources = ()
    passages: Sources = ()
    questions: Sources = ()
    pairs: Sources = ()
    run: SourceSpec | None = None
    words: int = Field(45, ge=1)
    overlap: int = Field(0, ge=0)
    shortest: int = Field(0, ge=0)
    language: str | None = None
    top: int = Field(10, ge=1)
    keep: int | None = Field(None, ge=1)
    limit: int | None = Field(None, ge=1)
    sample: int | None = Field(None, ge=1)
    head: float | None = Field(None, gt=0, lt=1)
    near: bool = True
    guard: Literal["near", "exact", "off"] = "near"
    seed: Seed = 1

    @model_validator(mode="after")
    def _has_pairs(self) -> Self:
        if not self.pairs and not (self.questions and (self.documents or self.passages)):
            raise ValueError("give questions with documents or passages, or pairs")
        return self


class TaskSpec(Spec):
    """A labelled task: its files, its classes, and which class is the positive one (the ranking score)."""

    train: Sources
    dev: Sources = ()
    tests: dict[Name, Sources]
    labels: tuple[str, ...] = Field(("no", "yes"), min_length=2)
    positive: str = "yes"
    kind: Literal["qa", "nli"] = "qa"
    conflicts: Literal["error", "drop"] = "error"

    @model_validator(mode="after")
    def _positive_is_a_label(self) -> Self:
        if self.positive not in self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError(
                f"positive '{self.positive}' must be one of the labels {', '.join(self.labels)}, each named once"
            )
        if not self.tests:
            raise ValueError("name at least one test file under tests")
        taken = {"train", "dev"} & {*self.tests}
        if taken:
            raise ValueError(f"tests: '{min(taken)}' is the name of another split; call the test set otherwise")
        return self


class TeacherSpec(Spec):
    """One of T1..TN: fine-tuned here from `base`, ready-made (`model`), or scores made elsewhere (`file`).

    `scores` names the stage-1 corpora it scores (default: every corpus of its task; none for an imported one);
    `imported` says what the file's columns hold; a pair scored twice differently is an error or gets the mean
    (`repeated`). `classes` maps our label names to a ready-made model's.
    An `extra` teacher takes part only in `tmkd run --all`.
    """

    task: Name
    base: str | None = None
    model: str | None = None
    file: SourceSpec | None = None
    imported: Literal["score", "probability", "logits"] = "probability"
    score_columns: tuple[str, ...] = ("score",)
    missing: Literal["error", "drop"] = "error"
    # As a source's layout: left out of settings while it is the default.
    repeated: Literal["error", "mean"] = Field("error", exclude_if=lambda repeated: repeated == "error")
    scores: tuple[Name, ...] | None = None
    classes: dict[str, str] = Field(default_factory=dict)
    max_length: int = Field(128, ge=8)
    seed: Seed = 1
    fresh_pooler: bool = False
    fit: FitSpec = FitSpec()
    extra: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(kind is not None for kind in (self.base, self.model, self.file)) != 1:
            raise ValueError("give exactly one of base (fine-tune), model (ready-made), file (imported scores)")
        several = self.imported == "logits" or self.score_columns != ("score",)
        if self.file is not None and self.file.layout != "rows" and several:
            raise ValueError(
                f"layout {self.file.layout} has one score a pair; set imported to score (a logit) or probability, "
                "and take score_columns out"
            )
        return self


class StageSpec(Spec):
    """One training stage of a row: a corpus, the teachers listened to, and the loss weight α of Eq. 5.

    `corpus` is `task` (the task's training pairs) or a stage-1 corpus; `teachers` is `all`, `best` (by dev), `each`
    (the member's own, in a row with `each_teacher`) or a list of names; `average` makes one teacher of their mean
    (1avg-o-1).
    """

    corpus: Name = "task"
    teachers: Literal["all", "best", "each"] | tuple[Name, ...] = "all"
    average: bool = False
    alpha: float = 0.9
    fit: FitSpec = FitSpec()

    @model_validator(mode="after")
    def _alpha_fits_teachers(self) -> Self:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}; Eq. 5 needs 0 <= alpha <= 1")
        if self.alpha > 0 and not self.teachers:
            raise ValueError(f"alpha is {self.alpha} but the stage has no teachers; name some or set alpha: 0")
        if self.alpha == 0 and self.teachers:
            raise ValueError("alpha is 0, so the teachers would never be heard; set teachers: [] or alpha above 0")
        return self


class RowSpec(Spec):
    """A row of the results table: the stages that make its student; with `each_teacher`, one student per teacher.

    `student` says what is smaller in this row than in the recipe's student.
    """

    stages: tuple[StageSpec, ...] = Field(min_length=1)
    student: SmallerSpec = SmallerSpec()
    each_teacher: bool = False
    tasks: tuple[Name, ...] | None = None
    extra: bool = False


class Recipe(Spec):
    """One run, whole: names are the keys of its parts. File names are relative to `data`, and that to the recipe."""

    name: Name
    data: str = "."
    seeds: tuple[Seed, ...] = Field((1,), min_length=1)
    device: Device = "auto"
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    pretrained: dict[str, PretrainedSpec] = Field(default_factory=dict)
    tasks: dict[Name, TaskSpec] = Field(min_length=1)
    collect: dict[Name, CollectSpec] = Field(default_factory=dict)
    teachers: dict[Name, TeacherSpec] = Field(default_factory=dict)
    student: StudentSpec
    rows: dict[Name, RowSpec] = Field(default_factory=dict)
    evaluate: EvaluateSpec = EvaluateSpec()
    export: ExportSpec | None = None

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        # Messages begin with the key they are about: the reader turns it into a line.
        asked = [(f"collect.{name}.task", gather.task) for name, gather in self.collect.items()]
        asked += [(f"teachers.{name}.task", teacher.task) for name, teacher in self.teachers.items()]
        asked += [(f"rows.{name}.tasks", task) for name, row in self.rows.items() for task in row.tasks or ()]
        for key, task in asked:
            if task not in self.tasks:
                raise ValueError(f"{key}: no task '{task}'; there is {', '.join(self.tasks)}")
        for name in self.collect:
            if name in self.tasks or name == "task":
                raise ValueError(f"collect.{name}: the name is taken by a task; rename one")
        if "gold" in self.teachers:
            raise ValueError("teachers.gold: gold is the name of the golden labels' header; rename the teacher")
        for key, source in self._beside_tasks():
            if source.votes is not None:
                raise ValueError(
                    f"{key}: votes give labels, which only a task's train, dev and tests have; take them out"
                )
            if source.layout != "rows" and key.endswith((".documents", ".run")):
                raise ValueError(f"{key}: layout {source.layout} is for pairs and their scores; take it out")
        for name in self.rows:
            if name in self.teachers or name == "ensemble":
                raise ValueError(f"rows.{name}: a teacher's row of the report has this name; rename one")
        for name, teacher in self.teachers.items():
            for corpus in teacher.scores or ():
                if corpus not in (*self.collect, teacher.task):
                    known = ", ".join([*self.collect, teacher.task])
                    raise ValueError(f"teachers.{name}.scores: no corpus '{corpus}'; there is {known}")
                theirs = self.tasks[self.collect[corpus].task if corpus in self.collect else teacher.task]
                own = self.tasks[teacher.task]
                if (own.labels, own.positive) != (theirs.labels, theirs.positive):
                    raise ValueError(
                        f"teachers.{name}.scores: '{corpus}' has the classes {', '.join(theirs.labels)} (positive "
                        f"{theirs.positive}), the teacher's task {', '.join(own.labels)} (positive {own.positive})"
                    )
        single = [name for name, row in self.rows.items() if not row.each_teacher]
        for key, name in self.export.named if self.export is not None else ():
            if name not in single:
                raise ValueError(f"{key}: no row of one student is called '{name}'; there is {', '.join(single)}")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds: a seed is given twice; keep one")
        return self

    def _beside_tasks(self) -> Iterator[tuple[str, SourceSpec]]:
        """The files that are no task's, by key."""
        for name, gather in self.collect.items():
            for part in ("documents", "passages", "questions", "pairs"):
                yield from ((f"collect.{name}.{part}", source) for source in getattr(gather, part))
            if gather.run is not None:
                yield f"collect.{name}.run", gather.run
        yield from ((f"teachers.{name}.file", one.file) for name, one in self.teachers.items() if one.file is not None)

    def student_of(self, row: str) -> StudentSpec:
        """The recipe's student as a row has it."""
        return self.student.model_copy(update=self.rows[row].student.model_dump(exclude_none=True))

    def without_extras(self) -> Recipe:
        """The recipe without the rows and teachers that only `tmkd run --all` makes."""
        teachers = {name: teacher for name, teacher in self.teachers.items() if not teacher.extra}
        rows = {name: row for name, row in self.rows.items() if not row.extra}
        export = self.export.of_rows(rows) if self.export is not None else None
        return self.model_copy(update={"teachers": teachers, "rows": rows, "export": export})
