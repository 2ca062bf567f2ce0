"""The examples run as they stand, on the tiny world."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from tiny import World

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
MOST_LINES = 25

Play = Callable[..., list[str]]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Play:
    """(an example, its arguments) → the lines it prints."""

    def call(name: str, *arguments: object) -> list[str]:
        monkeypatch.setattr("sys.argv", [name, *map(str, arguments)])
        runpy.run_path(str(ROOT / "examples" / f"{name}.py"))
        return capsys.readouterr().out.splitlines()

    return call


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_every_example_is_played_here() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert [path.stem for path in EXAMPLES if f'play("{path.stem}"' not in here] == []


def test_a_bundle_ranks_passages(play: Play, made: tuple[Path, Path]) -> None:
    engine, *ranked = play("rank_with_a_bundle", made[1])
    assert engine.startswith(("int8 by", "fp32 by"))
    scores = [float(line.split()[0]) for line in ranked]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)


def test_a_student_scores_pairs(play: Play, made: tuple[Path, Path]) -> None:
    headers, classes, *scored = play("score_with_a_student", made[0])
    assert headers == "headers: toy/gold toy/ann"
    assert classes == "classes: no yes - positive: yes"
    for line in scored:
        no, yes = map(float, line.split()[:2])
        assert no + yes == pytest.approx(1, abs=2e-3)


def test_the_objective_falls_on_its_own(play: Play) -> None:
    losses = [float(line.split()[-1]) for line in play("train_with_the_objective")]
    assert losses[-1] < losses[0] / 10


def test_soft_labels_are_read_for_every_teacher(play: Play, finished: World) -> None:
    lines = play("read_soft_labels", finished.run, "toy", "web")
    assert "logits" in lines[0]
    assert [line.split(":")[0].strip() for line in lines if line.startswith("  ")] == ["judge", "t1", "t2"] * 3


def test_a_student_becomes_one_logit(play: Play, made: tuple[Path, Path], finished: World, tmp_path: Path) -> None:
    lines = play("export_one_logit", made[0], finished.run / "pairs" / "toy" / "dev", tmp_path / "compat")
    assert lines[0].startswith("accuracy on dev: student 0.")
    assert (tmp_path / "compat" / "model.safetensors").is_file()


def test_a_report_is_read(play: Play, finished: World) -> None:
    first, *lines = play("read_a_report", finished.run / "report.json")
    assert first.startswith("tiny, ")
    assert any(line.startswith("tmkd") and "accuracy" in line for line in lines)
