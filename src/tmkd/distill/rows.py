"""Resolution of a recipe's rows into chains of stages: corpus, teachers, starting weights (§4.3, §5.1; Tables 4-9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tmkd.errors import TmkdError, UsageError
from tmkd.recipe.parts import StudentSpec
from tmkd.recipe.rows import RowSpec, StageSpec, is_papers
from tmkd.recipe.schema import Recipe
from tmkd.store import digest_json
from tmkd.teachers.kinds import teachers_of

BestOf = Callable[[tuple[str, ...]], str]


@dataclass(frozen=True)
class PlannedStage:
    """Stage with its words resolved: `corpus` is `TASK/train` or a stage-1 corpus, `teachers` are names.

    `student` is the row's. Where `counted` has stages, this one takes as many optimiser steps as they do together.
    """

    corpus: str
    teachers: tuple[str, ...]
    stage: StageSpec
    student: StudentSpec
    counted: tuple[PlannedStage, ...] = ()

    def steps(self, pairs: Callable[[str], int]) -> int:
        """Number of optimiser steps; `pairs` gives a corpus's size, pairs that a stage leaves out included."""
        if self.counted:
            return sum(one.steps(pairs) for one in self.counted)
        chosen = self.stage.choose
        found = pairs(self.corpus) if chosen is None else min(chosen.pairs, pairs(self.corpus))
        return -(-found // self.stage.fit.batch) * self.stage.fit.epochs

    @property
    def counts(self) -> list[tuple[str | int, ...]]:
        """Settings that decide the number of steps where other stages do: corpora, batches, epochs, chosen pairs."""
        found: list[tuple[str | int, ...]] = []
        for one in self.counted:
            chosen = () if one.stage.choose is None else (one.stage.choose.pairs,)
            found.append((one.corpus, one.stage.fit.batch, one.stage.fit.epochs, *chosen))
        return found


def declared(recipe: Recipe, corpus: str) -> tuple[str, ...]:
    """The teachers that score a corpus: `TASK/train`, `TASK/dev` or a stage-1 corpus."""
    task, _, split = corpus.partition("/")
    found = []
    for name, teacher in teachers_of(recipe).items():
        spec, default = teacher.spec, teacher.scores_by_default
        if split:
            scores = spec.task == task and (default or task in (spec.scores or ()))
        elif spec.scores is not None:
            scores = corpus in spec.scores
        else:
            scores = default and spec.task == recipe.collect[corpus].task
        if scores:
            found.append(name)
    return tuple(found)


def taught_by_default(recipe: Recipe, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of these teachers that a stage has without naming them: what `all` means, and what `best` chooses among."""
    return tuple(name for name in names if not recipe.teachers[name].named)


def members(recipe: Recipe, name: str, row: RowSpec, task: str, best: BestOf) -> list[tuple[PlannedStage, ...]]:
    """The students of a row for one task, each a chain of planned stages; it predicts their mean (§4.3 m-o-m).

    `best` picks one of several teacher names by dev score. Raises: UsageError for an unknown teacher or corpus.
    """
    if not row.each_teacher:
        return [tuple(_planned(recipe, name, stage, task, best, None) for stage in row.stages)]
    each = taught_by_default(recipe, declared(recipe, f"{task}/train"))
    if not each:
        raise UsageError(f"rows.{name}: no teacher is declared for task {task}")
    return [tuple(_planned(recipe, name, stage, task, best, teacher) for stage in row.stages) for teacher in each]


def _planned(recipe: Recipe, name: str, asked: StageSpec, task: str, best: BestOf, each: str | None) -> PlannedStage:
    stage = asked.on(task)
    if stage.corpus == "task":
        corpus = f"{task}/train"
    elif stage.corpus in recipe.collect:
        corpus = stage.corpus
    else:
        known = ", ".join(["task", *recipe.collect])
        raise UsageError(f"rows.{name}: no corpus '{stage.corpus}'; there is {known}")
    if stage.alpha < 1 and stage.corpus in recipe.collect:
        raise UsageError(
            f"rows.{name}: alpha is {stage.alpha} on {corpus}, whose pairs have no golden labels; set alpha: 1"
        )
    names = declared(recipe, corpus)
    default = taught_by_default(recipe, names)
    if stage.teachers == "all":
        teachers = default if stage.alpha > 0 else ()
    elif stage.teachers == "best":
        teachers = (best(default),) if default else ()
    elif stage.teachers == "each":
        if each is None:
            raise UsageError(f"rows.{name}: teachers: each needs each_teacher: true in the row")
        teachers = (each,)
    else:
        teachers = stage.teachers
    for teacher in teachers:
        if teacher not in recipe.teachers:
            raise UsageError(
                f"rows.{name}: unknown teacher '{teacher}'; there is {', '.join(recipe.teachers) or 'none'}"
            )
        if teacher not in names:
            raise UsageError(f"rows.{name}: teacher '{teacher}' does not score {corpus}; add it to its scores")
    if stage.alpha > 0 and not teachers:
        raise UsageError(f"rows.{name}: alpha is {stage.alpha} but no teacher is declared for {corpus}")
    _refuse_few(name, stage, teachers)
    counted: tuple[PlannedStage, ...] = ()
    if stage.steps_of is not None:
        counted = members(recipe, stage.steps_of, recipe.rows[stage.steps_of], task, best)[0]
    return PlannedStage(corpus, teachers, stage, recipe.student_of(name), counted)


def _refuse_few(row: str, stage: StageSpec, teachers: tuple[str, ...]) -> None:
    """Check that a stage has as many teachers as its options need. Raises: UsageError naming the option."""
    fewest = {"vote: true": 3} if stage.vote else {}
    if stage.choose is not None and stage.choose.by != "score":
        fewest[f"choose.by: {stage.choose.by}"] = 2
    for words, count in fewest.items():
        if len(teachers) < count:
            raise UsageError(f"rows.{row}: {words} needs {count} teachers or more; the stage has {', '.join(teachers)}")


def refuse_gaps(row: str, planned: PlannedStage, missing: Mapping[str, int], pairs: int) -> None:
    """Check that a stage which needs a score of each of its teachers for every pair of its corpus has them all.

    `missing` has the pairs that a teacher has no score for, of `pairs` in all.
    Raises: TmkdError naming the teachers and what asks for all scores.
    """
    stage = planned.stage
    asks = {
        "gaps: error": stage.gaps == "error",
        "average: true": stage.average,
        "teachers: best": stage.teachers == "best",
        "a row with a name of the paper": is_papers(row),
    }
    reason = next((words for words, needs in asks.items() if needs), None)
    lacking = [f"teacher {name} has no score for {count} of {pairs} pairs" for name, count in missing.items() if count]
    if reason is not None and lacking:
        raise TmkdError(
            f"rows.{row}: {planned.corpus}: {', '.join(lacking)}, and {reason} needs them all; score them, leave the "
            "teacher out, or give another row gaps: drop or mask"
        )


def chain_key(chain: tuple[PlannedStage, ...], seed: int) -> str:
    """The digest of (stage chain, seed) under which a student is stored: rows share what they have in common."""
    stages = [[planned.corpus, planned.teachers, stage_settings(planned.stage), *planned.counts] for planned in chain]
    return digest_json([stages, chain[0].student.model_dump(mode="json"), seed])[:16]


def stage_settings(stage: StageSpec) -> dict[str, object]:
    """Settings of a stage that decide its result: not how often it is saved or logged."""
    left_out: Any = {"fit": {"checkpoint_steps", "tensorboard"}, "teachers": True, "corpus": True, "steps_of": True}
    return stage.model_dump(mode="json", exclude=left_out)


def best_by_dev(names: tuple[str, ...], dev: Mapping[str, float]) -> str:
    """The teacher with the highest dev accuracy, the first of equals. Raises: TmkdError when none has one."""
    scored = [name for name in names if name in dev]
    if not scored:
        raise TmkdError(f"best of {', '.join(names)}: none of them has scored a dev set")
    return max(scored, key=lambda name: dev[name])
