"""The typed recipe: one YAML file that says what a run makes, from pairs to report."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

# A name becomes a folder's: nothing that a file system or a dotted path could take otherwise.
NAME = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Device = Literal["auto", "cpu", "cuda"]


class _Part(BaseModel):
    """A piece of a recipe: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Part):
    """One file of rows, and how to read it.

    `columns` maps our column names to the file's; `threshold` turns a score column given as label into a weak binary
    label (1 when the score is above it); `source` is the word kept with each row (default: the file's name).
    """

    file: str
    columns: dict[Literal["question", "passage", "label", "group"], str] = {}
    threshold: float | None = None
    source: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        """Let `file.tsv` stand for `{file: file.tsv}`."""
        return {"file": value} if isinstance(value, str) else value


def _as_sources(value: Any) -> Any:
    """Let one source stand for a list of one."""
    return value if value is None or isinstance(value, list | tuple) else [value]


Sources = Annotated[tuple[Source, ...], BeforeValidator(_as_sources)]


class Pretrained(_Part):
    """Where a pretrained model comes from: a folder, a hub id, or an installed package's data folder."""

    folder: str | None = None
    hub: str | None = None
    revision: str | None = None
    package: str | None = None
    sha256: Digest | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if sum(origin is not None for origin in (self.folder, self.hub, self.package)) != 1:
            raise ValueError("give exactly one of folder, hub, package")
        return self


class Fit(_Part):
    """How one model is trained (§4.4): `learning_rate` peaks after `warmup` (a share of all steps), then falls to 0.

    `batch` is pairs per optimiser step; `token_budget` only cuts a step into micro-batches of at most that many token
    ids, padding included; `dropout` replaces the encoder's own; `checkpoint_steps` is the restart interval.
    """

    learning_rate: float = Field(1e-4, gt=0, lt=1)
    batch: int = Field(32, ge=1)
    epochs: int = Field(3, ge=1)
    warmup: Probability = 0.1
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0)
    dropout: Probability | None = None
    token_budget: int = Field(2048, ge=1)
    checkpoint_steps: int = Field(100, ge=1)
    tensorboard: bool = False


class Gather(_Part):
    """A stage-1 corpus (§3.1.1 step 1): questions × top documents → their best passages, and pairs given directly.

    `words` is the passage length aimed at; `top` documents are taken per question; `limit` pairs are kept at most,
    whole questions drawn with `seed`.
    """

    task: Name
    documents: Sources = ()
    passages: Sources = ()
    questions: Sources = ()
    pairs: Sources = ()
    words: int = Field(45, ge=1)
    top: int = Field(10, ge=1)
    limit: int | None = Field(None, ge=1)
    seed: Seed = 1

    @model_validator(mode="after")
    def _has_pairs(self) -> Self:
        if not self.pairs and not (self.questions and (self.documents or self.passages)):
            raise ValueError("give questions with documents or passages, or pairs")
        return self


class Task(_Part):
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


class Teacher(_Part):
    """One of T1..TN: fine-tuned here from `base`, ready-made (`model`), or scores made elsewhere (`file`).

    `scores` names the stage-1 corpora it scores (default: every corpus of its task; none for an imported one);
    `imported` says what the file's columns hold; `classes` maps our label names to a ready-made model's.
    An `extra` teacher takes part only in `tmkd run --all`.
    """

    task: Name
    base: str | None = None
    model: str | None = None
    file: Source | None = None
    imported: Literal["score", "probability", "logits"] = "probability"
    score_columns: tuple[str, ...] = ("score",)
    missing: Literal["error", "drop"] = "error"
    scores: tuple[Name, ...] | None = None
    classes: dict[str, str] = {}
    max_length: int = Field(128, ge=8)
    seed: Seed = 1
    fresh_pooler: bool = False
    fit: Fit = Fit()
    extra: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(kind is not None for kind in (self.base, self.model, self.file)) != 1:
            raise ValueError("give exactly one of base (fine-tune), model (ready-made), file (imported scores)")
        return self


class Student(_Part):
    """The student's body: the bottom `layers` of a pretrained encoder; headers read its `pool` vector (§3.2)."""

    base: str
    layers: int = Field(3, ge=1)
    pool: Literal["pooler", "first"] = "pooler"
    fresh_pooler: bool = False
    max_length: int = Field(128, ge=8)


class Stage(_Part):
    """One training stage of a row: a corpus, the teachers listened to, and the loss weight α of Eq. 5.

    `corpus` is `task` (the task's training pairs) or a stage-1 corpus; `teachers` is `all`, `best` (by dev), `each`
    (the member's own, in a row with `each_teacher`) or a list of names; `average` makes one teacher of their mean
    (1avg-o-1).
    """

    corpus: Name = "task"
    teachers: Literal["all", "best", "each"] | tuple[Name, ...] = "all"
    average: bool = False
    alpha: float = 0.9
    fit: Fit = Fit()

    @model_validator(mode="after")
    def _alpha_fits_teachers(self) -> Self:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}; Eq. 5 needs 0 <= alpha <= 1")
        if self.alpha > 0 and not self.teachers:
            raise ValueError(f"alpha is {self.alpha} but the stage has no teachers; name some or set alpha: 0")
        if self.alpha == 0 and self.teachers:
            raise ValueError("alpha is 0, so the teachers would never be heard; set teachers: [] or alpha above 0")
        return self


class Row(_Part):
    """A row of the results table: the stages that make its student; with `each_teacher`, one student per teacher."""

    stages: tuple[Stage, ...] = Field(min_length=1)
    each_teacher: bool = False
    tasks: tuple[Name, ...] | None = None
    extra: bool = False


class Evaluate(_Part):
    """How rows are measured: `pairs` timed in batches of `batch`, `repeats` times; median pairs/s is told."""

    batch: int = Field(32, ge=1)
    pairs: int = Field(256, ge=1)
    repeats: int = Field(3, ge=1)


class Recipe(_Part):
    """One run, whole: names are the keys of its parts. File names are relative to `data`, and that to the recipe."""

    name: Name
    data: str = "."
    seeds: tuple[Seed, ...] = Field((1,), min_length=1)
    device: Device = "auto"
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    pretrained: dict[str, Pretrained] = {}
    tasks: dict[Name, Task] = Field(min_length=1)
    collect: dict[Name, Gather] = {}
    teachers: dict[Name, Teacher] = {}
    student: Student
    rows: dict[Name, Row] = {}
    evaluate: Evaluate = Evaluate()

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
        for name, teacher in self.teachers.items():
            for corpus in teacher.scores or ():
                if corpus not in (*self.collect, teacher.task):
                    known = ", ".join([*self.collect, teacher.task])
                    raise ValueError(f"teachers.{name}.scores: no corpus '{corpus}'; there is {known}")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds: a seed is given twice; keep one")
        return self

    def without_extras(self) -> Recipe:
        """The recipe without the rows and teachers that only `tmkd run --all` makes."""
        teachers = {name: teacher for name, teacher in self.teachers.items() if not teacher.extra}
        rows = {name: row for name, row in self.rows.items() if not row.extra}
        return self.model_copy(update={"teachers": teachers, "rows": rows})
