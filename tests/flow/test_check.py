from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from safetensors.torch import load_file, save_file

import tiny
from tmkd.errors import TmkdError
from tmkd.flow.check import EXPORTED, check_bodies, check_run
from tmkd.flow.plan import VERBS, steps
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.runner import work
from tmkd.machine import cores
from tmkd.network.bilstm import BiLSTMConfig
from tmkd.recipe.reader import read_recipe

CORES = cores()
WORK = 2 * 16 * 16 / (12 * 768 * 768)  # the tiny encoder's arithmetic per token, BERT-base being 1
WHOLE = 40  # the 36 training pairs in batches of 8, the last one counted as whole
Check = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The tiny world, nothing of it made."""
    tiny.write_encoder(tmp_path / "bert")
    tiny.write_data(tmp_path / "data")
    tiny.write_recipe(tmp_path / "r.yaml")
    return tmp_path


def opened(folder: Path, *changes: str) -> RunFolder:
    return RunFolder(read_recipe(folder / "r.yaml", changes), folder, folder / "runs" / "tiny")


def told(folder: Path, *changes: str) -> str:
    """What `tmkd check` prints for people."""
    text = io.StringIO()
    check_run(opened(folder, *changes), Console(file=text, width=120), as_json=False)
    return text.getvalue()


def estimates(folder: Path, capsys: pytest.CaptureFixture[str], *changes: str) -> dict[str, dict[str, Any]]:
    check_run(opened(folder, *changes), Console(file=io.StringIO()), as_json=True)
    return {one["step"]: one for one in json.loads(capsys.readouterr().out)}


def test_each_step_left_has_its_pairs_time_and_disk(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = estimates(folder, capsys)
    epochs = tiny.FIT["epochs"]
    pairs = {step: one["pairs"] for step, one in found.items()}
    assert pairs["collect/toy"] == 36 + 12 + 12
    assert pairs["collect/web"] == 30 * 4  # questions × top
    assert pairs["teach/t1"] == 36
    assert pairs["teach/judge"] == 0
    assert (pairs["score/toy/dev/t2"], pairs["score/web/judge"]) == (12, 120)
    assert found["teach/t1"]["seconds"] == pytest.approx(epochs * 36 / 3.3 / CORES * WORK)
    assert found["teach/t1"]["bytes"] == (folder / "bert" / "model.safetensors").stat().st_size
    assert found["score/web/t1"]["seconds"] == pytest.approx(120 / 15 / CORES * WORK)
    seconds = pytest.approx(epochs * WHOLE / 3.3 / CORES * WORK / 2)  # one layer
    assert found["distill/toy/bert-3/1"]["seconds"] == seconds
    assert pairs["evaluate/report"] == 12


def test_a_limit_bounds_what_is_collected(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert estimates(folder, capsys, "collect.web.limit=50")["collect/web"]["pairs"] == 50


def test_a_dev_set_left_out_is_a_tenth_of_train(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Two of 18 questions, each with two pairs.
    assert estimates(folder, capsys, "tasks.toy.dev=[]")["score/toy/dev/t1"]["pairs"] == 4


def test_check_prints_the_sum_and_makes_nothing(folder: Path) -> None:
    text = told(folder)
    assert "the recipe and its files are in order; " in text
    assert "steps left, very roughly" in text
    assert not (folder / "runs").exists()


def test_done_steps_are_verified_and_no_longer_estimated(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = next(steps(opened(folder)))
    step.execute()
    assert step.name == "collect/toy"
    assert "collect/toy" not in estimates(folder, capsys)
    shard = next(step.folder.rglob("*.parquet"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(
        TmkdError, match=rf"{shard.name}: its bytes differ from manifest\.json; remove .* and run again"
    ):
        told(folder)


@pytest.mark.parametrize(
    ("file", "row", "wrong"),
    [
        ("train.tsv", "why\tbecause\tperhaps\n", "train.tsv.*perhaps"),
        ("test.tsv", "\tbecause\tyes\n", "test.tsv.*question"),
        ("questions.txt", "\x00\xff", "questions.txt"),
        ("scores.tsv", "why\tbecause\thigh\n", r"scores\.tsv: row 901: 'high'"),
    ],
)
def test_a_bad_row_of_any_file_is_found_before_work_starts(folder: Path, file: str, row: str, wrong: str) -> None:
    with (folder / "data" / file).open("ab") as data:
        data.write(row.encode("latin-1"))
    with pytest.raises(TmkdError, match=wrong):
        told(folder)


@pytest.mark.parametrize(
    ("change", "content", "wrong"),
    [
        (
            "tasks.toy.train={file: other.tsv, columns: {question: sentence1, passage: sentence2}}",
            "index\tquestion\tsentence\tlabel\n0\tWho?\tThey.\tentailment\n",
            r"other\.tsv: no column 'sentence1'; it has index, question, sentence, label; name one of these",
        ),
        (
            "tasks.toy.train=other.tsv",
            "sentence1\tsentence2\tlabel\nIt rains.\tIt is wet.\tentailment\n",
            r"other\.tsv: row 1: label 'entailment' is none of task toy's: no, yes or .* label has entailment",
        ),
        (
            "tasks.toy.train=other.tsv",
            '{"sentence1": "It rains.", "sentence2": "It is wet.", "gold_label": "entailment"}\n',
            r"other\.tsv: its first line is a JSON object; let the file's name end in \.jsonl",
        ),
        (
            "tasks.toy.tests={test: other.tsv}",
            "index\tsentence1\tsentence2\n0\tIt rains.\tIt is wet.\n",
            r"other\.tsv: no label column; it has index, sentence1, sentence2",
        ),
        (
            "tasks.toy.labels=['no', 'yes', 'maybe']",
            "",
            r"task toy: train has no row of class 'maybe' .*another task's file",
        ),
    ],
)
def test_a_file_of_another_task_is_found_before_work_starts(
    folder: Path, change: str, content: str, wrong: str
) -> None:
    (folder / "data" / "other.tsv").write_text(content)
    with pytest.raises(TmkdError, match=wrong) as error:
        told(folder, change)
    assert "\n" not in str(error.value)


def test_documents_of_which_none_can_be_read_are_found_before_work_starts(folder: Path) -> None:
    (folder / "data" / "documents.jsonl").write_text("{\n")
    with pytest.raises(TmkdError, match=r"documents\.jsonl: no documents in it \(1 × bad json\)"):
        told(folder)


@pytest.mark.parametrize("file", ["train.tsv", "dev.tsv", "test.tsv", "questions.txt", "documents.jsonl", "scores.tsv"])
def test_a_file_that_is_not_there(folder: Path, file: str) -> None:
    (folder / "data" / file).unlink()
    with pytest.raises(TmkdError, match=file):
        told(folder)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ("rows.mkd={stages: [{teachers: [t9]}]}", "rows.mkd: unknown teacher 't9'; there is t1, t2, judge"),
        ("rows.mkd={stages: [{corpus: wbe}]}", "rows.mkd: no corpus 'wbe'; there is task, web"),
        ("rows.mkd={stages: [{teachers: each}]}", "rows.mkd: teachers: each needs each_teacher: true in the row"),
        ("pretrained.bert.folder=brt", "pretrained 'bert': no folder .*brt"),
        ("data=elsewhere", "train.tsv"),
    ],
)
def test_a_name_that_leads_nowhere_is_found_before_work_starts(folder: Path, change: str, wrong: str) -> None:
    with pytest.raises(TmkdError, match=wrong):
        told(folder, change)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ("student.layers=3", r"student\.layers is 3, but bert has 2; set it to 2 or fewer"),
        ("teachers.judge.imported=logits", r"scores\.tsv: .*"),
    ],
)
def test_what_would_fail_hours_later_is_found_before_work_starts(folder: Path, change: str, wrong: str) -> None:
    with pytest.raises(TmkdError, match=wrong):
        check_run(opened(folder, change), Console(file=io.StringIO()), False)


@pytest.mark.parametrize("score", ["inf", "nan", "1.5"])
def test_a_score_that_is_no_probability_is_found_before_work_starts(folder: Path, score: str) -> None:
    with (folder / "data" / "scores.tsv").open("a") as file:
        file.write(f"who\tnobody\t{score}\n")
    with pytest.raises(TmkdError, match=r"scores\.tsv: row 901"):
        check_run(opened(folder), Console(file=io.StringIO()), False)


def test_exports_and_rows_whose_teacher_is_unknown_are_estimated_too(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = estimates(folder, capsys, "export={row: mkd, compat: true, frontier: [mkd], budget_ms: 5}")
    epochs = tiny.FIT["epochs"]
    waiting = found["distill/toy/tkd/1"]
    assert waiting["pairs"] == 120 + 36
    assert waiting["seconds"] == pytest.approx((120 + epochs * WHOLE) / 3.3 / CORES * WORK / 2)
    assert found["export/bundle"] == {**found["frontier/mkd"], "step": "export/bundle"}
    assert found["export/bundle"]["pairs"] == 12
    assert found["export/bundle"]["seconds"] > 20
    weights = (folder / "bert" / "model.safetensors").stat().st_size
    assert (found["export/compat"]["pairs"], found["export/compat"]["bytes"]) == (12, weights)
    assert found["frontier/report"]["seconds"] == pytest.approx(1 + 2 * (2 * 8 + 2200) / 15 / CORES * WORK / 2)


@pytest.mark.parametrize("content", [b'{"model_type": "\xe4"}', b"[" * 9_000, b"[]"])
def test_a_damaged_configuration_of_an_encoder_is_an_error(folder: Path, content: bytes) -> None:
    (folder / "bert" / "config.json").write_bytes(content)
    with pytest.raises(TmkdError, match=r"config\.json: not "):
        told(folder)


@pytest.mark.parametrize("key", ["num_hidden_layers", "hidden_size", "intermediate_size"])
def test_a_setting_of_another_kind_is_not_compared(folder: Path, key: str) -> None:
    path = folder / "bert" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: ["2"]}))
    check_bodies(opened(folder))


@pytest.mark.parametrize(
    ("file", "row", "wrong"),
    [
        ("train.tsv", f"{tiny.question(0)}\t{tiny.passage(0, True)}\tno\n", r"train\.tsv: row 1 and .*row 37 give one"),
        ("dev.tsv", f"{tiny.question(18)}\t{tiny.passage(18, True)}\tno\n", r"dev\.tsv: row 1 and .* two labels"),
        ("test.tsv", f"{tiny.question(24)}\t{tiny.passage(24, True)}\tno\n", r"test\.tsv: row 1 and .* two labels"),
        ("test.tsv", "why\tbecause\t\n", r"test\.tsv: row 13: no label"),
        ("train.tsv", f"{tiny.question(24)}\t{tiny.passage(24, True)}\tyes\n", "test"),  # a test pair in train
    ],
)
def test_what_collecting_would_refuse_is_found_before_work_starts(
    folder: Path, file: str, row: str, wrong: str
) -> None:
    with (folder / "data" / file).open("a") as data:
        data.write(row)
    with pytest.raises(TmkdError, match=wrong) as found:
        told(folder)
    with pytest.raises(TmkdError, match=re.escape(str(found.value))):
        next(steps(opened(folder))).execute()


def without(folder: Path, *weights: str) -> None:
    """Take weights out of an encoder's file."""
    kept = {name: tensor for name, tensor in load_file(folder / "model.safetensors").items() if name not in weights}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("change", ["student.layers=1", "rows={}"])
def test_a_weight_that_is_missing_is_found_before_work_starts(folder: Path, change: str) -> None:
    without(folder / "bert", "encoder.layer.0.output.dense.weight")
    with pytest.raises(TmkdError, match=r"weight .*encoder\.layer\.0\.output\.dense\.weight is missing"):
        told(folder, change)


def test_a_student_needs_no_layer_above_its_own(folder: Path) -> None:
    without(folder / "bert", "encoder.layer.1.output.dense.weight")
    with pytest.raises(TmkdError, match=r"encoder\.layer\.1\.output\.dense\.weight is missing"):
        told(folder)  # its teachers do
    told(folder, "teachers={}", "rows={bert-3: {stages: [{teachers: [], alpha: 0.0}]}}")


def test_a_pooler_and_a_head_that_are_missing_are_drawn(folder: Path) -> None:
    without(folder / "bert", "pooler.dense.weight", "pooler.dense.bias")
    assert "in order" in told(folder)


def test_a_ready_made_teacher_without_head_is_found_before_work_starts(folder: Path) -> None:
    with pytest.raises(TmkdError, match=r"teacher t1: .*weight classifier\.\w+ is missing"):
        told(folder, "teachers={t1: {task: toy, model: bert}}", "rows={}")


@pytest.mark.parametrize("change", ["rows={}", "teachers={}"])
def test_a_tokenizer_that_cannot_be_read_is_found_before_work_starts(folder: Path, change: str) -> None:
    (folder / "bert" / "tokenizer.json").write_text("{}")
    with pytest.raises(TmkdError, match=r"tokenizer\.json: not a tokenizer"):
        told(folder, change, *(("rows={b: {stages: [{teachers: [], alpha: 0.0}]}}",) if change != "rows={}" else ()))


def configured(folder: Path, **values: Any) -> None:
    """Change the encoder's config.json."""
    path = folder / "bert" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("config", "changes", "wrong"),
    [
        ({"model_type": "t5", "is_encoder_decoder": True}, (), r"student\.base: bert is a t5, which has no encoder"),
        ({"model_type": "roberta"}, ("export={row: mkd}",), "export: a student cut from a roberta .* no ONNX export"),
        ({"hidden_act": "relu"}, ("export={row: mkd}",), "export: bert has the activation relu, which has no ONNX"),
        ({}, ("export={row: mkd, compat: true}", "student.pool=first"), r"export\.compat: .* set compat: false"),
    ],
)
def test_a_student_that_cannot_serve_is_found_before_any_work(
    folder: Path, config: dict[str, Any], changes: tuple[str, ...], wrong: str
) -> None:
    configured(folder, **config)
    with pytest.raises(TmkdError, match=wrong):
        check_bodies(opened(folder, *changes))
    with pytest.raises(TmkdError, match=wrong):
        work(opened(folder, *changes), folder / "r.yaml", VERBS, Console(file=io.StringIO()), lambda made: None)
    assert not (folder / "runs").exists()


def test_a_rows_own_base_is_read_like_the_recipes(folder: Path) -> None:
    own = "rows={it: {stages: [{teachers: [], alpha: 0.0}], student: {base: other, %s}}}"
    tiny.write_encoder(folder / "other", width=8)
    assert "in order" in told(folder, "pretrained.other={folder: other}", own % "layers: 2")
    with pytest.raises(TmkdError, match=r"student\.layers is 3, but other has 2"):
        told(folder, "pretrained.other={folder: other}", own % "layers: 3")
    with pytest.raises(TmkdError, match=r"pretrained 'other': no folder .*nowhere"):
        told(folder, own % "layers: 2", "pretrained.other={folder: nowhere}")


def test_the_base_of_a_frontier_row_has_to_have_an_export_too(folder: Path) -> None:
    tiny.write_encoder(folder / "other")
    path = folder / "other" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "roberta"}))
    row = "rows.own={stages: [{teachers: [], alpha: 0.0}], student: {base: other}}"
    changes = ("pretrained.other={folder: other}", row, "export={row: mkd, frontier: [mkd, own]}")
    with pytest.raises(TmkdError, match=r"export: a student cut from a roberta \(other\) has no ONNX export"):
        check_bodies(opened(folder, *changes))


def test_the_families_named_as_exported_have_an_export() -> None:
    assert ("bert", BiLSTMConfig.model_type) == EXPORTED


def test_a_file_of_an_export_check_is_read_before_work_starts(folder: Path) -> None:
    with pytest.raises(TmkdError, match=r"faq\.tsv"):
        told(folder, "export={row: mkd, checks: {faq: faq.tsv}}")


def both(folder: Path, *changes: str) -> str:
    """The error of `tmkd check`, which the run has as well."""
    with pytest.raises(TmkdError) as found:
        told(folder, *changes)
    with pytest.raises(TmkdError, match=re.escape(str(found.value))):
        work(opened(folder, *changes), folder / "r.yaml", VERBS, Console(file=io.StringIO()), lambda made: None)
    return str(found.value)


JUDGE = "teachers={judge: {task: toy, file: {file: scores.tsv}, scores: [web, toy]}}"
GIVEN = "collect={web: {task: toy, pairs: scores.tsv}}"
GOLD = "rows={bert-3: {stages: [{corpus: task, teachers: [], alpha: 0.0}]}}"


@pytest.mark.parametrize("changes", [("rows={}",), ("teachers={}", GOLD)])
def test_a_training_pair_without_the_label_that_a_loss_needs_is_found(folder: Path, changes: tuple[str, ...]) -> None:
    with (folder / "data" / "train.tsv").open("a") as data:
        data.write("why\tbecause\t\n")
    assert "train.tsv: pair 37 of 37 ('why') has no golden label" in both(folder, GIVEN, *changes)


def test_a_training_pair_without_label_is_no_fault_where_no_loss_needs_it(folder: Path) -> None:
    with (folder / "data" / "train.tsv").open("a") as data:
        data.write("why\tbecause\t\n")
    assert "in order" in told(folder, GIVEN, "teachers={}", "rows={}")
    dropped = "rows={it: {stages: [{teachers: [], alpha: 0.0, unlabelled: drop}]}}"
    assert "in order" in told(folder, GIVEN, "teachers={}", dropped)
    rows = "rows={it: {stages: [{unlabelled: soft_only}]}}"
    teacher = "teachers={t1: {task: toy, base: bert, max_length: 48, unlabelled: drop}}"
    assert "in order" in told(folder, GIVEN, teacher, rows)


def test_best_of_teachers_that_do_not_score_dev_is_found(folder: Path) -> None:
    judge = JUDGE.replace(", toy]", "]")
    row = "rows={1-o-1: {stages: [{corpus: web, teachers: best, alpha: 1.0}]}}"
    assert "best of judge: none of them has scored a dev set" in both(folder, GIVEN, judge, row)


def test_gaps_that_a_row_does_not_take_are_found(folder: Path) -> None:
    with (folder / "data" / "more.tsv").open("w") as data:
        data.write("question\tpassage\nwhy\tbecause\n")
    given = "collect={web: {task: toy, pairs: [scores.tsv, more.tsv]}}"
    judge = "teachers={judge: {task: toy, file: {file: scores.tsv}, scores: [web], missing: drop}}"
    rows = "rows={%s: {stages: [{corpus: web, alpha: 1.0, gaps: %s}]}}"
    told(folder, given, judge, rows % ("mine", "mask"))
    for row, gaps, reason in (("tmkd", "drop", "a row with a name of the paper"), ("mine", "error", "gaps: error")):
        said = rf"rows\.{row}: web: teacher judge has no score for 1 of 901 pairs, and {reason} needs them all"
        with pytest.raises(TmkdError, match=said):
            told(folder, given, judge, rows % (row, gaps))


@pytest.mark.parametrize("corpus", ["toy", "web"])
def test_a_pair_without_imported_score_is_found(folder: Path, corpus: str) -> None:
    with (folder / "data" / "more.tsv").open("w") as data:
        data.write("question\tpassage\nwhy\tbecause\n")
    given = "collect={web: {task: toy, pairs: [scores.tsv, more.tsv]}}"
    judge = JUDGE.replace("[web, toy]", f"[{corpus}]")
    pair = tiny.question(18) if corpus == "toy" else "why"  # dev comes first
    error = both(folder, given, judge, "rows={}")
    assert f"teacher judge: no imported score for the pair '{pair}'" in error
    assert "in order" in told(folder, given, judge.replace("scores:", "missing: drop, scores:"), "rows={}")


def test_a_given_pair_that_the_guard_removes_needs_no_imported_score(folder: Path) -> None:
    with (folder / "data" / "more.tsv").open("w") as data:
        data.write(f"question\tpassage\n{tiny.question(24)}\tbecause\n")  # a question of test
    given = "collect={web: {task: toy, pairs: [scores.tsv, more.tsv]}}"
    judge = JUDGE.replace(", toy]", "]")
    assert "in order" in told(folder, given, judge, "rows={}")
    error = both(folder, given.replace("task: toy,", "task: toy, guard: off,"), judge, "rows={}")
    assert "no imported score" in error


def write_run(folder: Path, document: str, question: str) -> None:
    found = enumerate((document, "9"), start=1)
    lines = (f"{question} Q0 {one} {rank} {3 - rank} engine\n" for rank, one in found)
    (folder / "data" / "found.trec").write_text("".join(lines))


@pytest.mark.parametrize("part", ["documents", "passages"])
def test_two_columns_that_hold_ids_of_the_run_are_found(folder: Path, part: str) -> None:
    tiny.write_tsv(
        folder / "data" / "msmarco.tsv",
        ("docid", "pid", "text"),
        [(7, 8, tiny.passage(30, True)), (9, 10, tiny.passage(31, True)), (11, 9, tiny.passage(32, True))],
    )
    tiny.write_tsv(folder / "data" / "asked.tsv", ("qid", "question"), [("q1", tiny.question(30))])
    write_run(folder, "7", "q1")
    web = f"collect={{web: {{task: toy, {part}: msmarco.tsv, questions: asked.tsv, run: found.trec}}}}"
    assert "columns pid and docid both hold ids of the run" in both(folder, web, "teachers={}", "rows={}")


def test_a_run_without_any_question_of_ours_is_found(folder: Path) -> None:
    write_run(folder, "https://tiny.example/0", "q77")
    assert "found.trec: has no question id of the question files" in both(
        folder, "collect.web.run=found.trec", "teachers={}", "rows={}"
    )


@pytest.mark.parametrize("change", ["rows={}", "teachers={}"])
def test_a_tokenizer_with_other_ids_than_transformers_is_found(folder: Path, change: str) -> None:
    path = folder / "bert" / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": "BertTokenizer"}))
    content = json.loads((folder / "bert" / "tokenizer.json").read_text())
    content["pre_tokenizer"] = {"type": "WhitespaceSplit"}
    (folder / "bert" / "tokenizer.json").write_text(json.dumps(content))
    changes = (change,) if change == "rows={}" else (change, GOLD)
    assert "other token ids than transformers does" in both(folder, GIVEN, *changes)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        (("device=cuda",), "device: cuda, but torch finds no CUDA device"),
        (("student.ffn=32",), "student.ffn is 32; the encoder has 32: set it to fewer"),
        (("student.vocabulary=2",), "student.vocabulary is 2; the tokenizer has"),
        (("teachers.t1.fit.tensorboard=true",), "tensorboard: true needs tensorboard"),
        (("rows.bert-3.stages.0.fit.tensorboard=true",), "tensorboard: true needs tensorboard"),
    ],
)
def test_what_the_machine_or_a_model_lacks_is_found(
    folder: Path, changes: tuple[str, ...], wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    teacher = "teachers={t1: {task: toy, base: bert, max_length: 48}}"
    assert wrong in both(folder, GIVEN, teacher, GOLD, *changes)


def test_weights_that_give_no_finite_scores_are_found(folder: Path) -> None:
    weights = load_file(folder / "bert" / "model.safetensors")
    weights["embeddings.word_embeddings.weight"] += float("nan")
    save_file(weights, folder / "bert" / "model.safetensors", metadata={"format": "pt"})
    assert "its weights are damaged" in both(folder, GIVEN, "rows={}")
    assert "its weights are damaged" in both(folder, GIVEN, "teachers={}", GOLD)


def test_questions_of_which_the_guard_leaves_none_are_found(folder: Path) -> None:
    (folder / "data" / "questions.txt").write_text(f"\n{tiny.question(24)}\n{tiny.question(18)}\n")
    with pytest.raises(TmkdError, match="collect web: no question is left: all are empty, or repeat one"):
        told(folder)
    by_name = {step.name: step for step in steps(opened(folder))}
    by_name["collect/toy"].execute()
    with pytest.raises(TmkdError, match="collect web: no question is left"):
        by_name["questions/web"].execute()
    assert "in order" in told(folder, "collect.web.guard=off")


@pytest.mark.parametrize("module", ["onnx", "onnxruntime"])
def test_a_package_that_the_export_needs_is_found(folder: Path, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tmkd.flow.check.find_spec", lambda name: None if name == module else name)
    with pytest.raises(TmkdError, match=rf"export needs {module}: pip install 'tmkd\["):
        check_bodies(opened(folder, "export={row: mkd}"))
