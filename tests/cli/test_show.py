"""Printed results: states of the steps, the table of a bench."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

import tiny
from finished_steps import states
from tiny import Call, World
from tmkd.cli.show import show_states


def test_show_prints_the_reason_of_a_stale_step(finished: World, tmkd: Call) -> None:
    assert {kind for kind, _ in states(tmkd, finished).values()} == {"done"}
    changed = states(tmkd, finished, "--set", "teachers.t1.fit.epochs=9")
    assert changed["teach/t1"] == ("stale", "recipe changed: fit.epochs")
    assert changed["score/toy/dev/t1"] == ("stale", "needs teach/t1")
    assert changed["teach/t2"] == ("done", "")
    assert changed["evaluate/report"][0] == "stale"
    with (finished.data / "train.tsv").open("a") as file:
        file.write("what is new\tthe clock is new .\tyes\n")
    (finished.data / "documents.jsonl").write_text((finished.data / "documents.jsonl").read_text() + "\n")
    edited = states(tmkd, finished)
    assert edited["collect/toy"] == ("stale", "input changed: file train.tsv")
    assert edited["teach/t1"] == ("stale", "needs collect/toy")
    shown = tmkd("show", finished.recipe, "--runs", finished.runs)
    assert "input changed: file train.tsv" in shown.out


def test_a_narrow_table_cuts_no_name_and_has_versions_only_where_they_differ(
    finished: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> str:
        text = StringIO()
        show_states(tiny.opened(finished), Console(file=text, width=60), as_json=False)
        return text.getvalue()

    assert "…" not in shown()
    assert "made with" not in shown()
    monkeypatch.setattr("tmkd.cli.show.versions", lambda: {"tmkd": "9.9"})
    assert "made" in shown()


def test_show_before_anything_is_done(world: World, tmkd: Call) -> None:
    said = states(tmkd, world)
    assert said["collect/toy"] == ("missing", "")
    assert said["teach/t1"] == ("missing", "waits for collect/toy")
    assert said["distill/toy/1-o-1/1"] == ("missing", "waits for score/toy/dev/t1")
    assert {kind for kind, _ in said.values()} == {"missing"}
    assert not world.runs.exists()


def test_the_table_names_its_units(made: tuple[Path, Path], tmkd: Call) -> None:
    said = tmkd("bench", made[1], "--batch", 1, "--length", 16, "--calls", 1)
    assert "pairs/s" in said.out
    assert "p99 ms" in said.out


def test_bench_prints_that_the_kernel_is_not_built(
    made: tuple[Path, Path], tmkd: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmkd.bundle.kernel_library.kernel_line", lambda: "kernel not built: no compiler")
    said = tmkd("bench", made[1], "--batch", 1, "--length", 16, "--calls", 1)
    assert "kernel not built: no compiler" in said.out
