from __future__ import annotations

import pytest

import tiny
from tiny import World
from tmkd.cli import options
from tmkd.cli.options import open_run, share_cores
from tmkd.errors import UsageError
from tmkd.flow.runner import Jobs


def test_a_run_lies_under_the_recipes_name_with_its_changes(world: World) -> None:
    run = open_run(world.recipe, ["student.layers=2"], world.runs, everything=False)
    assert (run.folder, run.recipe_base) == (world.runs / "tiny", world.recipe.parent)
    assert run.recipe.student.layers == 2


def test_extras_are_there_when_everything_is_asked_for(world: World) -> None:
    tiny.change(world.recipe, "rows.mkd.extra", True)
    kept = [{*open_run(world.recipe, None, world.runs, everything).recipe.rows} for everything in (False, True)]
    assert kept[1] - kept[0] == {"mkd"}


@pytest.mark.parametrize(
    ("jobs", "workers", "expected"),
    [(1, None, None), (2, None, Jobs(2, 2)), (3, None, Jobs(3, 1)), (1, 2, Jobs(1, 2)), (4, 1, Jobs(4, 1))],
)
def test_jobs_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, jobs: int, workers: int | None, expected: Jobs | None
) -> None:
    monkeypatch.setattr(options, "cores", lambda: 4)
    assert share_cores(jobs, workers) == expected


@pytest.mark.parametrize(
    ("jobs", "workers", "told"),
    [(5, None, "--jobs 5 asks for 5 threads"), (2, 3, "--jobs 2 with --workers 3 asks for 6 threads")],
)
def test_more_threads_than_cores_are_refused(
    monkeypatch: pytest.MonkeyPatch, jobs: int, workers: int | None, told: str
) -> None:
    monkeypatch.setattr(options, "cores", lambda: 4)
    with pytest.raises(UsageError, match=f"{told}, but there are 4 cores; give smaller numbers"):
        share_cores(jobs, workers)
