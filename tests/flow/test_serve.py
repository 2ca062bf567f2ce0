"""What a recipe's run has to serve: its folders, and settings from the recipe."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tiny
from tiny import World
from tmkd.collect.questions import QUESTIONS
from tmkd.distill.rows import declared
from tmkd.errors import TmkdError, UsageError
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.serve import places_of
from tmkd.serve.answer import AnswerSettings
from tmkd.store import write_manifest


@pytest.fixture
def made_run(world: World) -> RunFolder:
    """A run whose index and bundle are there, sealed and empty."""
    changes = "serve.collect=web", "serve.deadline_ms=10", "serve.threshold=0.5", "export.row=tmkd"
    run = tiny.opened(world, *changes)
    for folder in (run.folder / "bundle", run.index_folder("web")):
        folder.mkdir(parents=True)
        write_manifest(folder, "step", {}, {}, {}, 0.0)
    return run


def test_the_places_are_those_of_the_run(made_run: RunFolder) -> None:
    places = places_of(made_run)
    assert (places.bundle, places.index) == (made_run.folder / "bundle", made_run.index_folder("web"))
    assert places.lookup == str(made_run.folder / "lookup")
    assert places.settings == AnswerSettings(top=10, keep=5, threshold=0.5, deadline_ms=10)
    assert places.examples == ()


def test_teachers_are_those_that_have_scored_the_corpus(made_run: RunFolder) -> None:
    assert (places_of(made_run).corpus, places_of(made_run).teachers) == (None, ())
    name = declared(made_run.recipe, "web")[0]
    for folder in (made_run.teacher_folder(name), made_run.soft_folder("web", name)):
        folder.mkdir(parents=True)
        write_manifest(folder, "step", {}, {}, {}, 0.0)
    places = places_of(made_run)
    assert places.corpus == made_run.corpus_folder("web")
    assert [(one.name, one.folder) for one in places.teachers] == [(name, made_run.soft_folder("web", name))]


def test_the_page_s_examples_are_among_the_first_questions(made_run: RunFolder) -> None:
    folder = made_run.questions_folder("web")
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"question": [f"question {number}" for number in range(300)]}), folder / QUESTIONS)
    write_manifest(folder, "questions", {}, {}, {}, 0.0)
    assert places_of(made_run).examples == tuple(f"question {number}" for number in range(100))


@pytest.mark.parametrize(("missing", "verb"), [("bundle", "export"), ("index/web", "collect")])
def test_what_is_not_made_yet_is_told_with_its_verb(made_run: RunFolder, missing: str, verb: str) -> None:
    (made_run.folder / missing / "manifest.json").unlink()
    with pytest.raises(TmkdError, match=f"run tmkd {verb} first"):
        places_of(made_run)


def test_a_recipe_without_a_part_on_serving_is_told_what_to_add(world: World) -> None:
    with pytest.raises(UsageError, match="does not say what to serve"):
        places_of(tiny.opened(world))


def test_a_threshold_that_is_a_precision_is_the_store_s(made_run: RunFolder, world: World) -> None:
    run = tiny.opened(world, "serve.collect=web", "export.row=tmkd")
    assert places_of(run).settings.threshold is None
