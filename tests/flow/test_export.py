"""Steps of the export, in the tiny world."""

from __future__ import annotations

import json

import tiny
from finished_steps import steps_made
from tiny import Call, World
from tmkd.flow.export import export_steps


def test_smaller_students_are_trained_exported_and_compared(finished: World, tmkd: Call) -> None:
    small = {"student": {"ffn": 8, "vocabulary": 60}, "stages": [{"use": "pretrain"}, {"use": "finetune"}]}
    tiny.change(finished.recipe, "rows.small", small)
    export = {"row": "tmkd", "frontier": ["tmkd", "small"], "budget_ms": 10_000.0, "checks": {"more": "dev.tsv"}}
    tiny.change(finished.recipe, "export", export)
    said = tmkd("distill", finished.recipe, "--runs", finished.runs)
    assert said.code == 0, said.err
    made = [title.rpartition("/")[2] for title in steps_made(said)]
    assert made == ["start", "web", "stage 1", "train", "stage 2"]  # the start, and each stage after its token ids
    said = tmkd("frontier", finished.recipe, "--runs", finished.runs)
    assert said.code == 0, said.err
    assert "10 passages ranked within 10000 ms" in said.out
    assert (finished.run / "frontier" / "frontier.html").is_file()
    report = json.loads((finished.run / "bundles" / "small" / "parity.json").read_text())
    assert [one["set"] for one in report["int8"]["onnxruntime, 1 byte"]] == ["test", "more", "web", "all sets"]
    told = json.loads(tmkd("frontier", finished.recipe, "--runs", finished.runs, "--json").out)
    assert [(one["row"], one["precision"]) for one in told["points"]] == [
        ("tmkd", "fp32"), ("tmkd", "int8"), ("small", "fp32"), ("small", "int8")
    ]  # fmt: skip
    sizes = {one["row"]: one["bytes"] for one in told["points"] if one["precision"] == "fp32"}
    assert sizes["small"] < sizes["tmkd"]


def test_a_finished_run_is_exported_once(finished: World, tmkd: Call) -> None:
    tiny.change(finished.recipe, "export", {"row": "tmkd", "force": True, "compat": True})
    said = tmkd("export", finished.recipe, "--runs", finished.runs)
    assert (said.code, said.out.strip()) == (0, str(finished.run / "bundle")), said.err
    assert {path.name for path in (finished.run / "bundle").iterdir()} == {
        "README.md", "bundle.json", "manifest.json", "model.int8.onnx", "model.onnx", "parity.json", "tokenizer.json"
    }  # fmt: skip
    assert json.loads((finished.run / "compat" / "config.json").read_text())["architectures"] == [
        "BertForSequenceClassification"
    ]
    report = json.loads((finished.run / "bundle" / "parity.json").read_text())
    assert [one["set"] for one in report["fp32"]] == ["test", "web", "all sets"]
    assert report["fp32"][0]["max_difference"] < 1e-4
    assert "same first passage" in (finished.run / "bundle" / "README.md").read_text()
    again = tmkd("export", finished.recipe, "--runs", finished.runs)
    assert "0 steps done now, 2 were done already" in again.err


def test_every_bundle_and_the_frontier_are_steps(finished_world: World) -> None:
    run = tiny.opened(finished_world, "export={row: tmkd, compat: true, frontier: [tmkd, mkd], budget_ms: 5}")
    assert run.recipe.export is not None
    found = {step.title: step for step in export_steps(run, run.recipe.export)}
    assert {title: step.verb for title, step in found.items()} == {
        "export/bundle": "export",
        "export/compat": "export",
        "frontier/tmkd": "frontier",
        "frontier/mkd": "frontier",
        "frontier/report": "frontier",
    }
    assert found["frontier/report"].needs["frontier/mkd"] == found["frontier/mkd"].folder
    # The bundle that is served keeps its limits; the frontier shows a faulty one, too.
    assert (found["export/bundle"].settings["force"], found["frontier/tmkd"].settings["force"]) == (False, True)


def test_a_bundle_waits_for_the_dev_scores_that_choose_its_teacher(world: World) -> None:
    run = tiny.opened(world, "export={row: tkd, compat: true}")
    assert run.recipe.export is not None
    waits = {step.title: step.waits for step in export_steps(run, run.recipe.export)}
    assert waits == {"export/bundle": "score/toy/dev/t1", "export/compat": "score/toy/dev/t1"}
