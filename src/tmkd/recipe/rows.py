"""Rows of the results table in a recipe: stages, each with its objective, and the student that they make."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tmkd.recipe.fit import FitSpec
from tmkd.recipe.parts import FreshPooler, Name, Pool, Seed, Spec, StudentSpec
from tmkd.recipe.seeds import OwnSeeds

# Names of the paper's rows (Tables 4 to 9, Figures 2 and 3), all that report/paper_tables.py knows: a row with one of
# them is the paper's method and nothing else.
PAPER_ROWS = frozenset(
    (
        *("bert-3", "kd", "1-o-1", "1avg-o-1", "m-o-m", "mkd"),
        *("tkd", "tkd-avg", "tkd-base", "tkd-base-avg"),
        *("tmkd", "tmkd-base", "tmkd-large", "tmkd-base-1", "tmkd-base-5", "tmkd-1", "tmkd-5"),
        *("alpha-01", "alpha-03", "alpha-05", "alpha-07", "alpha-10"),
        *("kd-extreme", "mkd-extreme", "tmkd-extreme"),
        *("bi-lstm", "bi-lstm-1-o-1", "bi-lstm-1avg-o-1", "bi-lstm-m-o-m"),
        *("bi-lstm-tkd-base", "bi-lstm-tkd-base-avg", "bi-lstm-tmkd-base"),
        *("bi-lstm-tkd", "bi-lstm-tkd-avg", "bi-lstm-tmkd"),
    )
)


class RowStudentSpec(Spec):
    """Overrides for one row's student: another base, or a smaller student of the same."""

    base: str | None = None
    """Another pretrained encoder, with all its neurons and word pieces. Without it: the recipe's."""
    layers: int | None = Field(None, ge=1)
    """As in `student`. Without it: as many."""
    ffn: int | None = Field(None, ge=1)
    """As in `student`. Without it: as many."""
    vocabulary: int | None = Field(None, ge=1)
    """As in `student`. Without it: as many."""
    pool: Pool | None = None
    """As in `student`. Without it: the same."""
    fresh_pooler: FreshPooler | None = None
    """As in `student`. Without it: the same."""
    max_length: int | None = Field(None, ge=8)
    """As in `student`. Without it: as many."""

    def over(self, student: StudentSpec) -> StudentSpec:
        """The recipe's student with these overrides; sizes that another base was cut to are not taken over."""
        uncut = {} if self.base is None else {"ffn": None, "vocabulary": None}
        return student.model_copy(update=uncut | self.model_dump(exclude_none=True))


class ChooseSpec(Spec):
    """Choice among a stage's pairs by the probabilities that its teachers give the positive class."""

    pairs: int = Field(ge=1)
    """Pairs chosen. Where there are fewer: all."""
    by: Literal["score", "disagreement", "both"] = "both"
    """`score`: as many pairs from each tenth of [0, 1] that the teachers' mean lies in; `disagreement`: drawn in
    proportion to the teachers' standard deviation; `both`: from each tenth, drawn so."""
    seed: Seed = 1
    """Seed by which pairs are drawn."""


class StageSpec(Spec):
    """One training stage of a row. `use: NAME`, or NAME alone, starts from an entry of the recipe's `stages`."""

    corpus: Name = "task"
    """`task`: the task's training pairs; else a stage-1 corpus."""
    teachers: Literal["all", "best", "each"] | tuple[Name, ...] = "all"
    """`all` that score the corpus, the `best` on dev, `each` (the member's own), or a list of names."""
    average: bool = False
    """Makes one teacher of their mean (1avg-o-1)."""
    alpha: float = 0.9
    """Weight α of the teachers' loss in Eq. 5, in [0, 1]: 1 is stage 1 (Eq. 4), 0 golden labels alone."""
    # These are left out of settings where they change nothing in the result: what was made before they were there
    # stays as it is. `gaps: error` and `drop` make the same student, if any.
    unlabelled: Literal["error", "drop", "soft_only"] = Field("error", exclude_if=lambda value: value == "error")
    """Pairs without a golden label where α < 1: `drop` leaves them out, `soft_only` gives them the loss α·l_s alone."""
    gaps: Literal["error", "drop", "mask"] = Field("drop", exclude_if=lambda value: value != "mask")
    """Pairs that a teacher has no score for: `drop` leaves them out, `mask` averages Eq. 4 over the pair's teachers."""
    weak: Literal["golden", "soft_only"] = Field("golden", exclude_if=lambda value: value == "golden")
    """Pairs whose label comes from a source's `threshold`: `soft_only` gives them the loss α·l_s alone."""
    vote: bool = Field(False, exclude_if=lambda value: not value)
    """Takes a pair's loss from the headers alone whose teachers pull them where most do, to yes or to no (GOVERN)."""
    choose: ChooseSpec | None = Field(None, exclude_if=lambda value: value is None)
    """Trains on some of the pairs, chosen by the teachers' scores. Without it: on all."""
    keep_start: bool = Field(False, exclude_if=lambda value: not value)
    """Compares the student of the stage before with each epoch on dev, and keeps it unless one is better."""
    steps_of: Name | None = Field(None, exclude_if=lambda row: row is None)
    """Row whose optimiser steps, of all its stages together, this stage takes instead of its epochs."""
    fit: FitSpec = FitSpec()
    """Settings of its training."""
    fit_on: dict[Name, FitSpec] = Field({}, exclude_if=lambda fits: not fits)
    """Task → what is different in `fit` when the row is trained on it; after `use`, merged with the shared stage's."""

    @model_validator(mode="after")
    def _alpha_fits_teachers(self) -> Self:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}; Eq. 5 needs 0 <= alpha <= 1")
        if self.alpha > 0 and not self.teachers:
            raise ValueError(f"alpha is {self.alpha} but the stage has no teachers; name some or set alpha: 0")
        if self.alpha == 0 and self.teachers:
            raise ValueError("alpha is 0, so teachers have no weight in the loss; set teachers: [] or alpha above 0")
        return self

    @model_validator(mode="after")
    def _options_fit_alpha_and_teachers(self) -> Self:
        for option in ("unlabelled", "weak"):
            if getattr(self, option) == "soft_only" and not 0 < self.alpha < 1:
                raise ValueError(f"alpha is {self.alpha}; {option}: soft_only needs both losses, 0 < alpha < 1")
        if self.vote and (self.average or self.teachers in ("best", "each")):
            one = "average: true" if self.average else f"teachers: {self.teachers}"
            raise ValueError(f"{one} leaves one teacher, which has nobody to vote with; take vote: true out")
        if self.choose is not None and self.alpha == 0:
            raise ValueError("alpha is 0, so no teacher's score chooses pairs; take choose out")
        if self.gaps == "mask" and (self.average or self.teachers == "best"):
            one = "average: true" if self.average else "teachers: best"
            raise ValueError(f"{one} leaves one teacher, which needs every pair; take gaps: mask out")
        if self.keep_start and self.alpha == 1:
            raise ValueError("alpha is 1, so no dev set chooses the epoch; keep_start needs alpha below 1")
        return self

    def on(self, task: str) -> StageSpec:
        """The stage as it is for one task."""
        if not self.fit_on:
            return self
        changes = self.fit_on.get(task, FitSpec())
        own = {name: getattr(changes, name) for name in changes.model_fields_set}
        return self.model_copy(update={"fit": self.fit.model_copy(update=own), "fit_on": {}})

    @property
    def own_options(self) -> list[str]:
        """Options that make the objective, or the choice of the epoch, another one than the paper's."""
        options = {
            "unlabelled: soft_only": self.unlabelled == "soft_only",
            "gaps: mask": self.gaps == "mask",
            "weak: soft_only": self.weak == "soft_only",
            "vote: true": self.vote,
            "choose": self.choose is not None,
            "keep_start: true": self.keep_start,
            f"steps_of: {self.steps_of}": self.steps_of is not None,
            f"fit.average_last: {self.fit.average_last}": self.fit.average_last > 0,
        }
        for task, fit in self.fit_on.items():
            options[f"fit_on.{task}.average_last: {fit.average_last}"] = fit.average_last > 0
        return [words for words, chosen in options.items() if chosen]


class RowSpec(Spec):
    """A row of the results table: the stages that make its student."""

    stages: tuple[StageSpec, ...] = Field(min_length=1)
    """Stages in order; each goes on from the body of the one before."""
    student: RowStudentSpec = RowStudentSpec()
    """Another base or smaller sizes than the recipe's for this row's student."""
    each_teacher: bool = False
    """Trains one student per teacher and predicts their mean (m-o-m, §4.3)."""
    tasks: tuple[Name, ...] | None = None
    """Tasks it is trained on. Without it: all."""
    seeds: OwnSeeds = None
    """Those of the recipe's students' seeds that this row has. Without it: all."""
    extra: bool = False
    """Takes part only in `tmkd run --all`."""

    @model_validator(mode="after")
    def _a_stage_precedes(self) -> Self:
        if self.stages[0].keep_start:
            raise ValueError("keep_start keeps the student of the stage before, which the first stage has not")
        return self

    def on(self, task: str) -> RowSpec:
        """The row as it is for one task."""
        return self.model_copy(update={"stages": tuple(stage.on(task) for stage in self.stages), "tasks": None})


def is_papers(row: str) -> bool:
    """Whether a row has a name of the paper."""
    return row.casefold().replace("_", "-") in PAPER_ROWS
