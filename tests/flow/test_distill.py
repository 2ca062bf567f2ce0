"""Steps of the students: shared stages, and what a change of the recipe makes anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import tiny
from finished_steps import planned, steps_made
from tiny import Call, World
from tmkd.data.text import PairTokenizer
from tmkd.data.token_store import MappedTokens
from tmkd.flow.plan import states
from tmkd.network.bilstm_start import write_start
from tmkd.store import sealed


def test_students_are_made_once_and_shared(finished_world: World) -> None:
    # bert-3, 1-o-1, 1avg-o-1, two of m-o-m (one is 1-o-1's), two stages each of tkd and tmkd, mkd
    assert len(list((finished_world.run / "students").iterdir())) == 9


def test_a_changed_alpha_makes_only_its_stage_anew(finished: World, tmkd: Call) -> None:
    said = tmkd("run", finished.recipe, "--runs", finished.runs, "--set", "rows.tmkd.stages.1.alpha=0.9")
    assert steps_made(said) == ["distill/toy/tmkd/1/stage 2", "evaluate/toy/tmkd", "evaluate/report"]
    back = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert steps_made(back) == ["evaluate/report"]  # the other student is still there


def test_an_added_seed_trains_only_its_own_students(finished: World, tmkd: Call) -> None:
    for row in ("tkd", "1-o-1", "1avg-o-1", "m-o-m", "mkd", "tmkd"):
        tiny.change(finished.recipe, f"rows.{row}", None)
    said = tmkd("run", finished.recipe, "--runs", finished.runs, "--set", "seeds=[1, 2]")
    assert steps_made(said) == ["distill/toy/bert-3/2", "evaluate/toy/bert-3", "evaluate/report"]
    rows = json.loads((finished.run / "report.json").read_text())["rows"]
    assert [row["seed"] for row in rows if row["row"] == "bert-3"] == [1, 2]


def test_rows_of_one_pruned_student_share_its_start_and_first_stage(finished_world: World) -> None:
    small = "{student: {ffn: 8}, stages: [{use: pretrain}%s]}"
    run = tiny.opened(finished_world, f"rows={{a: {small % ''}, b: {small % ', {use: finetune}'}}}")
    web, start, first, task, second = planned(run, "distill")
    assert [one.title for one in (web, start, first, task, second)] == [
        "tokens/web", "distill/toy/a/start", "distill/toy/a/1", "tokens/toy/train", "distill/toy/b/1/stage 2"
    ]  # fmt: skip
    assert web.needs == {"collect/web": run.corpus_artifact("web")}
    assert start.needs == {"collect/web": run.corpus_artifact("web")}
    assert (start.settings["corpus"], start.settings["student"]["ffn"]) == ("web", 8)
    assert first.needs["the narrowed start"] == second.needs["the narrowed start"] == start.folder
    assert second.needs["the stage before"] == first.folder
    assert {"collect/toy/train", "score/toy/train/t1", "score/toy/train/t2"} <= {*second.needs}


def test_a_corpus_is_tokenised_once_and_no_finished_student_asks_for_it(finished: World, tmkd: Call) -> None:
    titles = [step.title for step in planned(tiny.opened(finished), "distill") if step.title.startswith("tokens/")]
    assert titles == ["tokens/toy/train", "tokens/web"]
    facts = {path.parent.name: sealed(path.parent).facts for path in finished.run.glob("tokens/*/manifest.json")}
    assert sorted(one["pairs"] for one in facts.values()) == [36, len(tiny.opened(finished).corpus("web"))]
    shutil.rmtree(finished.run / "tokens")
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert steps_made(said) == []
    said = tmkd("run", finished.recipe, "--runs", finished.runs, "--set", "rows.mkd.stages.0.alpha=0.7")
    assert steps_made(said) == ["tokens/toy/train", "distill/toy/mkd/1", "evaluate/toy/mkd", "evaluate/report"]


def test_a_stage_waits_for_its_tokens_and_a_finished_one_does_not(finished: World) -> None:
    shutil.rmtree(finished.run / "tokens")
    run = tiny.opened(finished, "rows.mkd.stages.0.alpha=0.7")
    waiting = {step.title: (now.kind, waits) for step, now, waits in states(run) if step.verb == "distill"}
    assert waiting.pop("distill/toy/mkd/1") == ("missing", "tokens/toy/train")
    assert waiting.pop("tokens/toy/train") == ("missing", "")
    assert {*waiting.values()} == {("done", "")}


def test_tokens_whose_bytes_were_changed_are_not_trained_on(finished: World, tmkd: Call) -> None:
    for path in finished.run.glob("tokens/*/ids.bin"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    said = tmkd("run", finished.recipe, "--runs", finished.runs, "--set", "rows.mkd.stages.0.alpha=0.7")
    assert said.code == 1
    assert "ids.bin: its bytes differ from manifest.json" in said.err


def with_gaps(world: World, **rows: list[object]) -> None:
    """Let the third teacher miss some pairs of the stage-1 corpus, and replace the rows by these, by their stages."""
    scores = (world.data / "scores.tsv").read_text().splitlines(keepends=True)
    (world.data / "scores.tsv").write_text("".join(scores[: len(scores) // 2]))
    tiny.change(world.recipe, "teachers.judge.missing", "drop")
    for row in tiny.ROWS:
        tiny.change(world.recipe, f"rows.{row}", None)
    for row, stages in rows.items():
        tiny.change(world.recipe, f"rows.{row}", {"stages": stages})


def test_a_row_with_a_name_of_the_paper_refuses_a_corpus_with_gaps(finished: World, tmkd: Call) -> None:
    with_gaps(finished, tmkd=["pretrain"])
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert said.code == 1
    facts = sealed(finished.run / "softlabels" / "web" / "judge").facts
    missing = f"teacher judge has no score for {facts['missing']} of {facts['pairs']} pairs"
    assert f"rows.tmkd: web: {missing}, and a row with a name of the paper needs them all" in said.err


def test_rows_of_their_own_drop_or_mask_gaps_and_the_report_counts_each_headers_pairs(
    finished: World, tmkd: Call
) -> None:
    with_gaps(finished, dropped=["pretrain"], masked=[{"use": "pretrain", "gaps": "mask"}])
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert said.code == 0, said.err
    facts = sealed(finished.run / "softlabels" / "web" / "judge").facts
    scored = facts["pairs"] - facts["missing"]
    notes = json.loads((finished.run / "report.json").read_text())["notes"]
    assert [note for note in notes if "pairs per header" in note] == [
        f"toy × dropped (seed 1), stage 1: pairs per header: t1 {scored}, t2 {scored}, judge {scored}; "
        f"{facts['missing']} pairs left out",
        f"toy × masked (seed 1), stage 1: pairs per header: t1 {facts['pairs']}, t2 {facts['pairs']}, judge {scored}; "
        "0 pairs left out",
    ]


def test_a_row_that_keeps_its_start_says_which_epoch_won(finished: World, tmkd: Call) -> None:
    for row in tiny.ROWS:
        tiny.change(finished.recipe, f"rows.{row}", None)
    still = {"use": "finetune", "keep_start": True, "fit": {"learning_rate": 1.0e-12, "epochs": 1}}
    tiny.change(finished.recipe, "rows.kept", {"stages": ["pretrain", still]})
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert said.code == 0, said.err
    notes = json.loads((finished.run / "report.json").read_text())["notes"]
    (note,) = [note for note in notes if note.startswith("toy × kept")]
    assert note.startswith("toy × kept (seed 1), stage 2: epoch ")
    ((_, chain),) = tiny.opened(finished).row_students("kept", "toy", 1)
    facts = sealed(tiny.opened(finished).student_folder(chain, 1)).facts
    assert f"epoch {facts['best_epoch']} won: dev {100 * facts['dev_start']:.2f} before the stage" in note
    assert (facts["best_epoch"] == 0) == (facts["dev_start"] >= max(facts["dev"]))


def test_a_bert_and_a_bilstm_share_a_report(finished: World, tmkd: Call) -> None:
    folder = finished.recipe.parent
    vectors = [
        f"{word} {' '.join(str(place % 7 - axis) for axis in range(8))}" for place, word in enumerate(tiny.TOPICS)
    ]
    (folder / "vectors.txt").write_text("\n".join(vectors) + "\n")
    write_start(folder / "vectors.txt", folder / "words", most=100, layers=1, seed=1)
    for row in set(tiny.ROWS) - {"bert-3"}:
        tiny.change(finished.recipe, f"rows.{row}", None)
    student = {"base": "words", "layers": 1, "fresh_pooler": False}
    stages = [{"use": "finetune", "teachers": [], "alpha": 0.0, "fit": {"epochs": 1}}]
    tiny.change(finished.recipe, "pretrained.words", {"folder": "words"})
    tiny.change(finished.recipe, "rows.bi-lstm", {"stages": stages, "student": student})
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert said.code == 0, said.err
    own = ["tokens/toy/train", "distill/toy/bi-lstm/1", "evaluate/toy/bi-lstm", "evaluate/report"]
    assert steps_made(said) == own
    rows = json.loads((finished.run / "report.json").read_text())["rows"]
    sizes = {row["row"]: row["parameters"] for row in rows}
    assert sizes["bi-lstm"] != sizes["bert-3"]
    assert all(row["pairs_per_second"] > 0 for row in rows)


def test_fewer_word_pieces_have_token_ids_of_their_own(finished_world: World) -> None:
    run = tiny.opened(finished_world, "rows={a: {student: {vocabulary: 60}, stages: [{use: pretrain}]}}")
    whole, start, own, first = planned(run, "distill")
    assert [one.title for one in (whole, start, own, first)] == [
        "tokens/web", "distill/toy/a/start", "tokens/web", "distill/toy/a/1"
    ]  # fmt: skip
    assert whole.folder != own.folder
    assert own.needs == {"collect/web": run.corpus_artifact("web"), "the narrowed start": start.folder}


def test_a_pruned_start_is_chosen_by_the_questions_and_passages_of_the_first_stage(
    finished_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[MappedTokens] = []

    def write(base: Path, student: object, tokens: MappedTokens, folder: Path) -> dict[str, int]:
        used.append(tokens)
        return {}

    monkeypatch.setattr("tmkd.network.prune.write_pruned", write)
    run = tiny.opened(finished_world, "rows={a: {student: {ffn: 8}, stages: [{use: pretrain}]}}")
    _, start, _ = planned(run, "distill")
    start.make(tmp_path)
    table = run.corpus("web").table()
    tokenizer = PairTokenizer.load(run.pretrained("bert").path, 48)
    expected = tokenizer.encode(table["question"].to_pylist(), table["passage"].to_pylist())
    assert np.array_equal(used[0].take(range(len(table))).flat_ids, expected.flat_ids)


def test_a_control_has_as_many_steps_as_both_stages_of_another_row(finished: World, tmkd: Call) -> None:
    for row in ("tkd", "1avg-o-1", "m-o-m", "mkd"):
        tiny.change(finished.recipe, f"rows.{row}", None)
    stage = {"use": "finetune", "steps_of": "tmkd", "fit": {"epochs": 1}}
    for row, own in (("bert-3-long", {"teachers": [], "alpha": 0.0}), ("1-o-1-long", {"teachers": "best"})):
        tiny.change(finished.recipe, f"rows.{row}", {"stages": [{**stage, **own}]})
    said = tmkd("run", finished.recipe, "--runs", finished.runs)
    made = ["distill/toy/bert-3-long/1", "distill/toy/1-o-1-long/1"]
    assert [step for step in steps_made(said) if step.startswith("distill")] == made
    run = tiny.opened(finished)
    steps = {
        row: sum(sealed(run.student_folder(chain[:depth], 1)).facts["steps"] for depth in range(1, len(chain) + 1))
        for row in ("tmkd", "bert-3-long", "1-o-1-long")
        for _, chain in run.row_students(row, "toy", 1)
    }
    assert len({*steps.values()}) == 1
    assert steps["tmkd"] > 2 * 5  # more than the epochs of either control
    tiny.change(finished.recipe, "stages.pretrain.fit.epochs", 2)
    again = tmkd("show", finished.recipe, "--runs", finished.runs)
    assert again.out.count("missing") >= 4  # both stages and both controls are others now


def test_a_row_whose_best_teacher_is_unknown_is_one_step_that_waits(world: World) -> None:
    waiting = {step.title: step for step in planned(tiny.opened(world), "distill") if step.waits}
    assert {*waiting} == {"distill/toy/1-o-1/1", "distill/toy/tkd/1"}
    assert {step.waits for step in waiting.values()} == {"score/toy/dev/t1"}
    sizes = {"toy/train": 36, "web": 120}
    pairs = {title: step.estimate(sizes).pairs for title, step in waiting.items()}
    assert pairs == {"distill/toy/1-o-1/1": 36, "distill/toy/tkd/1": 156}
