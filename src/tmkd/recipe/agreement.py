"""Checks across the parts of a recipe: names refer to something, classes agree, no name is used twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tmkd.recipe.parts import PriorSpec, SourceSpec
from tmkd.recipe.rows import is_papers
from tmkd.recipe.seeds import OWN

if TYPE_CHECKING:
    from tmkd.recipe.rows import RowSpec, StageSpec
    from tmkd.recipe.schema import Recipe, TeacherSpec
    from tmkd.recipe.serving import ServeSpec

BM25 = "bm25"  # row of the report, as "ensemble" is
FRAGMENT = ".npz"  # ending of the logits that another run's teacher gave


def check(recipe: Recipe) -> None:
    """Check what no part can check by itself.

    Raises: ValueError whose message begins with the dotted key it is about; the reader turns it into a line.
    """
    asked = [(f"collect.{name}.task", corpus.task) for name, corpus in recipe.collect.items()]
    asked += [(f"teachers.{name}.task", teacher.task) for name, teacher in recipe.teachers.items()]
    asked += [(f"rows.{name}.tasks", task) for name, row in recipe.rows.items() for task in row.tasks or ()]
    for key, task in asked:
        if task not in recipe.tasks:
            raise ValueError(f"{key}: no task '{task}'; there is {', '.join(recipe.tasks)}")
    for name in recipe.collect:
        if name in recipe.tasks or name == "task":
            raise ValueError(f"collect.{name}: the name is taken by a task; rename one")
    if "gold" in recipe.teachers:
        raise ValueError("teachers.gold: gold is the name of the golden labels' header; rename the teacher")
    for key, source in _held_out(recipe):
        _refuse_prior(key, source)
    for key, source in _beside_tasks(recipe):
        _refuse_prior(key, source)
        if source.votes is not None:
            raise ValueError(f"{key}: votes give labels, which only a task's train, dev and tests have; take them out")
        if source.layout != "rows" and key.endswith((".documents", ".run", "serve.questions")):
            raise ValueError(f"{key}: layout {source.layout} is for pairs and their scores; take it out")
    if BM25 in recipe.teachers:
        raise ValueError(f"teachers.{BM25}: a yardstick's row of the report has this name; rename the teacher")
    for name in recipe.rows:
        if name in (*recipe.teachers, "ensemble", BM25):
            raise ValueError(f"rows.{name}: another row of the report has this name; rename one")
    for name, model in recipe.pretrained.items():
        lender = recipe.pretrained.get(model.tokenizer or "")
        if lender is not None and lender.tokenizer is not None:
            raise ValueError(f"pretrained.{name}.tokenizer: '{model.tokenizer}' has none of its own; name another")
        for one in model.seen:
            task, slash, test = one.partition("/")
            if task not in recipe.tasks or (slash and test not in recipe.tasks[task].tests):
                sets = [*recipe.tasks, *(f"{task}/{test}" for task, own in recipe.tasks.items() for test in own.tests)]
                raise ValueError(f"pretrained.{name}.seen: no task or test set '{one}'; there is {', '.join(sets)}")
    for name, row in recipe.rows.items():
        for place, stage in enumerate(row.stages):
            for option in stage.own_options if is_papers(name) else ():
                raise ValueError(
                    f"rows.{name}.stages.{place}: {option} is not the paper's, and the row has a name of the paper; "
                    "give it a name of its own"
                )
            if stage.vote:
                _check_vote(recipe, f"rows.{name}.stages.{place}.vote", row, stage)
            for task in stage.fit_on:
                if task not in recipe.tasks:
                    raise ValueError(
                        f"rows.{name}.stages.{place}.fit_on: no task '{task}'; there is {', '.join(recipe.tasks)}"
                    )
            if stage.steps_of is not None:
                _check_steps(recipe, f"rows.{name}.stages.{place}.steps_of", name, stage.steps_of)
    for name, teacher in recipe.teachers.items():
        own = recipe.tasks[teacher.task]
        if teacher.similarity is not None and (len(own.labels) != 2 or own.positive != own.labels[1]):
            raise ValueError(f"teachers.{name}.similarity: fits two classes, the positive one last; give another kind")
        if teacher.file is not None and teacher.file.file.endswith(FRAGMENT):
            _check_fragment(name, teacher, teacher.file)
        for corpus in teacher.scores or ():
            if corpus not in (*recipe.collect, teacher.task):
                known = ", ".join([*recipe.collect, teacher.task])
                raise ValueError(f"teachers.{name}.scores: no corpus '{corpus}'; there is {known}")
            theirs = recipe.tasks[recipe.collect[corpus].task if corpus in recipe.collect else teacher.task]
            if (own.labels, own.positive) != (theirs.labels, theirs.positive):
                raise ValueError(
                    f"teachers.{name}.scores: '{corpus}' has the classes {', '.join(theirs.labels)} (positive "
                    f"{theirs.positive}), the teacher's task {', '.join(own.labels)} (positive {own.positive})"
                )
    single = [name for name, row in recipe.rows.items() if not row.each_teacher]
    for key, name in recipe.export.named if recipe.export is not None else ():
        if name not in single:
            raise ValueError(f"{key}: no row of one student is called '{name}'; there is {', '.join(single)}")
    if recipe.serve is not None:
        _check_serving(recipe, recipe.serve)
    if recipe.seeds.teachers != (OWN,) and all(teacher.base is None for teacher in recipe.teachers.values()):
        raise ValueError("seeds.teachers: no teacher has a base to be fine-tuned, so none has a seed; take it out")


def _check_vote(recipe: Recipe, key: str, row: RowSpec, stage: StageSpec) -> None:
    """Raises: ValueError where a stage's teachers vote on more than two classes."""
    of = recipe.collect.get(stage.corpus)
    for task in (row.tasks or recipe.tasks) if of is None else (of.task,):
        if len(recipe.tasks[task].labels) != 2:
            raise ValueError(f"{key}: task {task} has {len(recipe.tasks[task].labels)} classes, and a vote needs two")


def _check_steps(recipe: Recipe, key: str, name: str, other: str) -> None:
    """Raises: ValueError where the steps of another row are not to be counted."""
    row, counted = recipe.rows[name], recipe.rows.get(other)
    if counted is None:
        raise ValueError(f"{key}: no row '{other}'; there is {', '.join(recipe.rows)}")
    if any(stage.steps_of is not None for stage in counted.stages):
        raise ValueError(f"{key}: '{other}' takes the steps of another row itself; name a row with epochs of its own")
    if counted.extra and not row.extra:
        raise ValueError(f"{key}: '{other}' is extra, so this row has to be extra too")
    if counted.tasks is not None and not {*(row.tasks or recipe.tasks)} <= {*counted.tasks}:
        raise ValueError(f"{key}: '{other}' is not trained on every task of this row; set tasks in both")


def _refuse_prior(key: str, source: SourceSpec) -> None:
    """Raises: ValueError for a threshold that is found on dev."""
    if isinstance(source.threshold, PriorSpec):
        raise ValueError(f"{key}: a threshold {{prior: dev}} gives weak labels, which only train has; give a number")


def _check_serving(recipe: Recipe, serve: ServeSpec) -> None:
    """Raises: ValueError when there is no bundle or no index to serve."""
    if recipe.export is None:
        raise ValueError("serve: the exported student is served; add, say: export: {row: tmkd}")
    if serve.collect not in recipe.collect:
        raise ValueError(f"serve.collect: no corpus '{serve.collect}'; there is {', '.join(recipe.collect) or 'none'}")
    if not recipe.collect[serve.collect].questions:
        raise ValueError(
            f"serve.collect: '{serve.collect}' has pairs alone, so there is no index to search; give it questions, "
            "with documents or passages"
        )


def _held_out(recipe: Recipe) -> Iterator[tuple[str, SourceSpec]]:
    """The files of dev and test sets, by key."""
    for name, task in recipe.tasks.items():
        yield from ((f"tasks.{name}.dev", source) for source in task.dev)
        yield from ((f"tasks.{name}.tests.{test}", one) for test, sources in task.tests.items() for one in sources)


def _beside_tasks(recipe: Recipe) -> Iterator[tuple[str, SourceSpec]]:
    """The files that are no task's, by key."""
    for name, corpus in recipe.collect.items():
        for part in ("documents", "passages", "questions", "pairs"):
            yield from ((f"collect.{name}.{part}", source) for source in getattr(corpus, part))
        if corpus.run is not None:
            yield f"collect.{name}.run", corpus.run
    if recipe.serve is not None and isinstance(recipe.serve.questions, SourceSpec):
        yield "serve.questions", recipe.serve.questions
    yield from ((f"teachers.{name}.file", one.file) for name, one in recipe.teachers.items() if one.file is not None)


def _check_fragment(name: str, teacher: TeacherSpec, file: SourceSpec) -> None:
    if {"imported", "score_columns", "repeated"} & teacher.model_fields_set or file.model_fields_set != {"file"}:
        raise ValueError(
            f"teachers.{name}.file: {file.file} holds a teacher's logits by pair; name it alone, without columns, "
            "layout, imported, score_columns and repeated"
        )
