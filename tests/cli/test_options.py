from __future__ import annotations

import pytest

import tiny
from finished_steps import states
from tiny import Call, World
from tmkd import machine
from tmkd.cli import options
from tmkd.cli.options import Part, open_run, share_cores, with_engine
from tmkd.errors import UsageError
from tmkd.flow.runner import Jobs
from tmkd.recipe.engine import EngineSpec


def test_a_run_lies_under_the_recipes_name_with_its_changes(world: World) -> None:
    run = open_run(world.recipe, ["student.layers=2"], str(world.runs), Part())
    assert (run.folder, run.recipe_base) == (world.runs / "tiny", world.recipe.parent)
    assert run.recipe.student.layers == 2


def test_extras_are_there_when_everything_is_asked_for(world: World) -> None:
    tiny.change(world.recipe, "rows.mkd.extra", True)
    kept = [
        {*open_run(world.recipe, None, str(world.runs), Part(everything=everything)).recipe.rows}
        for everything in (False, True)
    ]
    assert kept[1] - kept[0] == {"mkd"}


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (machine, options):
        monkeypatch.setattr(module, "cores", lambda: 4)


@pytest.mark.parametrize(
    ("jobs", "workers", "expected"),
    [
        (1, None, None),
        (2, None, Jobs(2, 2)),
        (3, None, Jobs(3, 1)),
        (1, 2, None),
        (2, 2, Jobs(2, 2)),
        (4, 1, Jobs(4, 1)),
    ],
)
@pytest.mark.usefixtures("four_cores")
def test_jobs_share_the_cores(jobs: int, workers: int | None, expected: Jobs | None) -> None:
    assert share_cores(jobs, EngineSpec(workers=workers)) == expected


@pytest.mark.parametrize(
    ("jobs", "workers", "told"),
    [
        (5, None, "--jobs 5 asks for 5 threads"),
        (1, 5, "--workers 5 asks for 5 threads"),
        (2, 3, "--jobs 2 with --workers 3 asks for 6 threads"),
    ],
)
@pytest.mark.usefixtures("four_cores")
def test_more_threads_than_cores_are_refused(jobs: int, workers: int | None, told: str) -> None:
    with pytest.raises(UsageError, match=f"{told}, but there are 4 cores; give smaller numbers"):
        share_cores(jobs, EngineSpec(workers=workers))


def test_steps_side_by_side_are_refused_under_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setattr(options, "cores", lambda: 4)
    assert share_cores(1, EngineSpec(workers=2)) is None
    with pytest.raises(UsageError, match="--jobs 2: under torchrun all processes train one step together"):
        share_cores(2, EngineSpec())


@pytest.mark.usefixtures("four_cores")
def test_the_workers_of_a_cluster_are_not_on_this_machine() -> None:
    assert share_cores(2, EngineSpec(kind="ray", workers=9)) == Jobs(2, 2)


def test_options_of_the_engine_are_changes_of_the_recipe(world: World) -> None:
    run = open_run(world.recipe, with_engine(["student.layers=2"], "ray", 3), str(world.runs), Part())
    assert run.recipe.student.layers == 2
    assert run.recipe.engine == EngineSpec(kind="ray", workers=3)
    assert with_engine(None, None, None) == []


def test_an_extra_row_that_is_named_is_there_with_the_row_that_it_counts(world: World) -> None:
    tiny.change(world.recipe, "rows.mkd.extra", True)
    stage = {"use": "finetune", "teachers": [], "alpha": 0.0, "steps_of": "mkd"}
    tiny.change(world.recipe, "rows.long", {"extra": True, "stages": [stage]})
    run = open_run(world.recipe, None, str(world.runs), Part.of(False, "long,tmkd", None))
    assert [row for row, _, _ in run.placed_rows()] == ["tmkd", "long"]
    assert {"mkd", "long"} <= {*run.recipe.rows}


def test_an_extra_teacher_is_there_where_a_row_that_is_asked_for_names_it(world: World) -> None:
    tiny.change(world.recipe, "teachers.t2.extra", True)
    tiny.change(world.recipe, "teachers.t2.named", True)
    tiny.change(world.recipe, "rows.both", {"extra": True, "stages": [{"use": "finetune", "teachers": ["t1", "t2"]}]})
    parts = (Part(), Part(rows=("both",)), Part(rows=("mkd",)))
    runs = [open_run(world.recipe, None, str(world.runs), part) for part in parts]
    assert [{*run.teachers} for run in runs] == [{"t1", "judge"}, {"t1", "t2"}, {"t1"}]


def test_rows_and_tasks_narrow_the_steps_to_what_they_need(world: World, tmkd: Call) -> None:
    tiny.change(world.recipe, "tasks.other", {"train": "train.tsv", "dev": "dev.tsv", "tests": {"test": "test.tsv"}})
    tiny.change(world.recipe, "teachers.o1", {"task": "other", "base": "bert", "fit": tiny.FIT})
    steps = {*states(tmkd, world, "--rows", "mkd", "--tasks", "toy")}
    assert {one for one in steps if one.startswith(("teach/", "score/", "distill/"))} == {
        *(f"teach/{name}" for name in tiny.TEACHERS),
        *(f"score/toy/{split}/{name}" for split in ("dev", "train") for name in tiny.TEACHERS),
        "distill/toy/mkd/1",
    }
    assert {"collect/toy", "collect/other", "evaluate/toy/mkd (seed 1)", "evaluate/report"} <= steps
    assert not {one for one in steps if one.startswith("evaluate/other/mkd")}
