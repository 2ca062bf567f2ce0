"""The scripts for a GPU, whole, at tiny sizes on the processor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import tiny
from tmkd.errors import TmkdError
from tmkd.network import Student

ROOT = Path(__file__).parents[1]


def run(*arguments: str | Path) -> str:
    """Run a module from the project's folder; returns what it printed."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_speeds_are_measured_and_kept(optional: Callable[[str, str], ModuleType], tmp_path: Path) -> None:
    optional("sentence_transformers", "bench")
    told = run("benchmarks.gpu.speed", "--out", tmp_path, "--tiny")
    kept = json.loads((tmp_path / "speed.json").read_bytes())
    assert not [name for name in kept if name.startswith("failed")]
    assert kept["matmul_flops"] > 0
    assert all(row["what"] in told for row in kept["rows"])
    ratios = [row["what"] for row in kept["rows"] if "ratio" in row]
    assert sum("ours" in what for what in ratios) == 6
    assert sum("CrossEncoder" in what for what in ratios) == 3


@pytest.mark.slow
def test_a_study_is_packed_trained_measured_and_its_student_joined(tmp_path: Path) -> None:
    recipe = tiny.recipe()
    del recipe["teachers"]["judge"]
    world = tiny.write_world(tmp_path / "world")
    tiny.write_recipe(world, recipe)
    done = tiny.tmkd("collect", world, "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    packed, results = tmp_path / "packed", tmp_path / "results"
    run("benchmarks.gpu.pack", world, "--run", tmp_path / "runs" / "tiny", "--out", packed, "--pairs", "50")
    assert not [path for path in packed.iterdir() if b"because of" in path.read_bytes()]  # no text
    rows, rates = ("tmkd", "tkd", "bert-3", "m-o-m"), ("--rates", "1e-2", "1e-3", "--rate-pairs", "40")
    tried = ("--teacher-rates", "1e-2", "1e-3", "--dropouts", "0", "--row-rates", "1e-2", "1e-3", "--jobs", "2")
    given = ("--inputs", packed, "--out", results, "--rows", *rows, "--seeds", "1", "2", *rates, *tried)
    told = run("benchmarks.gpu.study", world, *given)
    report = json.loads((results / "report.json").read_bytes())
    assert set(report["teachers"]) == {"t1", "t2"}
    assert {row: set(seeds) for row, seeds in report["rows"].items()} == {row: {"1", "2"} for row in rows}
    assert report["failed"] == {}
    assert set(report["rates"]) == {"0.01", "0.001"}
    assert set(report["tried"]) == {"teachers", *rows}
    best = min(report["tried"]["bert-3"], key=lambda one: one["cross_entropy"])
    trained = report["rows"]["bert-3"]["1"]
    assert trained["setting"] == {**best["setting"], "epochs": best["epochs"]}
    assert trained["dev"]["cross_entropy"] == pytest.approx(best["cross_entropy"], abs=1e-3)
    probabilities = np.load(results / "probabilities.npz")
    assert set(probabilities) == {"t1.0.test", "t2.0.test", *(f"{row}.{seed}.test" for row in rows for seed in (1, 2))}
    accuracy = report["rows"]["tmkd"]["1"]["tests"]["test"]["accuracy"]
    labels = [1 if label == "yes" else 0 for _, _, label in tiny.pairs(range(24, 30))]
    assert ((probabilities["tmkd.1.test"] > 0.5) == np.array(labels)).mean() == accuracy
    assert f"{accuracy:.4f}" in told
    assert np.load(results / "web_logits.npz")["t1"].shape == (report["pairs"]["web"], 2)
    assert len(list(results.iterdir())) <= 8
    run("benchmarks.gpu.pieces", results, "--out", tmp_path / "student")
    pairs = [(question, passage) for question, passage, _ in tiny.pairs(range(24, 30))]
    joined = Student.from_pretrained(tmp_path / "student").predict_proba(pairs)[:, 1]
    assert joined == pytest.approx(probabilities["tmkd.1.test"].astype(np.float64), abs=5e-3)
    fragments = tmp_path / "fragments"
    where = ("--run", tmp_path / "runs" / "tiny", "--results", results, "--out", fragments, "--date", "2026-11-27")
    assert "12 fragments" in run(
        "benchmarks.gpu.fragments", world, *where
    )  # 2 teachers, 4 rows of 2 seeds, 2 of logits
    joining = tiny.tmkd("report", fragments, "--json")
    assert joining.returncode == 0, joining.stderr
    measured = {(row["row"], row["seed"]): row["accuracy"] for row in json.loads(joining.stdout)["rows"]}
    assert len(measured) == 10
    assert measured["tmkd", 1] == accuracy
    teachers = {name: {"task": "toy", "file": str(fragments / "teachers" / f"{name}.npz")} for name in ("t1", "t2")}
    recipe["teachers"] = {name: {**entry, "scores": ["web"], "missing": "drop"} for name, entry in teachers.items()}
    recipe["rows"] = {
        "pretrained": {"stages": [{"use": "pretrain"}, {"use": "finetune", "teachers": [], "alpha": 0.0}]}
    }
    tiny.write_recipe(world, recipe)
    done = tiny.tmkd("run", world, "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr


def test_a_changed_piece_is_refused(tmp_path: Path) -> None:
    from benchmarks.gpu.pieces import join

    with (tmp_path / "student.json").open("w") as file:
        json.dump({"sha256": "", "pieces": {"student.000": "0" * 64}}, file)
    (tmp_path / "student.000").write_bytes(b"other bytes")
    with pytest.raises(TmkdError, match=r"student\.000: missing, or not the bytes that were written"):
        join(tmp_path, tmp_path / "student")
