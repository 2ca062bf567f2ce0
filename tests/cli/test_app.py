"""What the command line says to wrong input, and what it prints."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from safetensors import SafetensorError

import tiny
from finished_steps import printed_rows
from tiny import Call, Said, World

Spoil = Callable[[World], object]


def error_of(said: Said) -> str:
    """The error: one or two lines at the end of stderr, nothing on stdout, no traceback."""
    assert said.out == ""
    assert "Traceback" not in said.err
    lines = said.err.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("error: "))
    assert len(lines) - start <= 2
    return "\n".join(lines[start:])


def edit(name: str, change: Callable[[str], str]) -> Spoil:
    """Change a data file's text."""
    return lambda world: (world.data / name).write_text(change((world.data / name).read_text()))


def add(name: str, *fields: object) -> Spoil:
    return edit(name, lambda text: text + "\t".join(map(str, fields)) + "\n")


def write(name: str, data: bytes) -> Spoil:
    return lambda world: (world.data / name).write_bytes(data)


def put(dotted: str, value: Any) -> Spoil:
    return lambda world: tiny.change(world.recipe, dotted, value)


def both(*spoils: Spoil) -> Spoil:
    return lambda world: [spoil(world) for spoil in spoils]


FILES: dict[str, tuple[Spoil, int, str]] = {
    "missing file": (lambda world: (world.data / "dev.tsv").unlink(), 1, "dev.tsv: no such file"),
    "missing column": (
        edit("train.tsv", lambda text: text.replace("passage", "text", 1)),
        1,
        "train.tsv: no passage column (passage, hypothesis, sentence2, sentence); it has question, text, label",
    ),
    "missing label column": (
        edit("test.tsv", lambda text: text.replace("label", "judged", 1)),
        1,
        "test.tsv: no label column; it has question, passage, judged",
    ),
    "label outside the set": (add("train.tsv", "a", "b", "maybe"), 1, "train.tsv: row 37: label 'maybe' is none of"),
    "empty question": (add("train.tsv", " ", "b", "no"), 1, "train.tsv: row 37: empty question"),
    "empty passage": (add("dev.tsv", "a", "", "no"), 1, "dev.tsv: row 13: empty passage"),
    "not UTF-8": (write("train.tsv", b"question\tpassage\nwhat\tna\xefve\n"), 1, "train.tsv: line 2 is not UTF-8"),
    "empty file": (write("train.tsv", b""), 1, "train.tsv: empty, it has no rows"),
    "header only": (write("test.tsv", b"question\tpassage\tlabel\n"), 1, "test.tsv: empty, it has no rows"),
    "one class only": (
        edit("train.tsv", lambda text: text.replace("\tno\n", "\tyes\n")),
        1,
        "task toy: train has only class 'yes'",
    ),
    "conflicting labels": (
        add("train.tsv", tiny.question(0), tiny.passage(0, True), "no"),
        1,
        "train.tsv: row 1 and train.tsv: row 37 give one pair two labels",
    ),
    "a test pair in train": (
        add("train.tsv", tiny.question(25), tiny.passage(25, True), "yes"),
        1,
        "train.tsv: a training pair is in test.tsv too",
    ),
    "ragged row": (add("train.tsv", "a", "b"), 1, "train.tsv: row 37 has 2 fields, the header 3"),
    "documents that are no JSON": (write("documents.jsonl", b"{\n"), 1, "documents.jsonl"),
}  # fmt: skip

RECIPES: dict[str, tuple[Spoil, int, str]] = {
    "unknown teacher": (
        put("rows.mkd.stages", [{"use": "finetune", "teachers": ["t9"]}]),
        2,
        "rows.mkd: unknown teacher 't9'; there is t1, t2, judge",
    ),
    "alpha above 1": (put("stages.finetune.alpha", 1.5), 2, "alpha is 1.5; Eq. 5 needs 0 <= alpha <= 1"),
    "alpha below 0": (put("stages.finetune.alpha", -0.1), 2, "alpha is -0.1"),
    "alpha without teachers": (
        put("rows.mkd.stages", [{"use": "finetune", "teachers": []}]),
        2,
        "alpha is 0.5 but the stage has no teachers",
    ),
    "alpha and no teacher anywhere": (
        both(*(put(f"teachers.{name}", None) for name in ("t1", "t2", "judge"))),
        2,
        "alpha is 0.5 but no teacher is declared for toy/train",
    ),
    "golden loss on a stage-1 corpus": (put("stages.pretrain.alpha", 0.5), 2, "alpha is 0.5 on web, whose pairs"),
    "unknown key": (put("student.layer", 3), 2, "unknown key 'student.layer'; did you mean 'layers'?"),
    "not YAML": (lambda world: world.recipe.write_text("name: [tiny\n"), 2, "not YAML"),
    "not a recipe": (lambda world: world.recipe.write_text("hello\n"), 2, "not a recipe"),
    "binary recipe": (lambda world: world.recipe.write_bytes(b"\x80\xff"), 2, "not YAML"),
    "no recipe": (lambda world: world.recipe.unlink(), 2, "tiny.yaml: cannot be read: No such file or directory"),
    "a folder as recipe": (
        both(lambda world: world.recipe.unlink(), lambda world: world.recipe.mkdir()),
        2,
        "tiny.yaml: cannot be read: Is a directory",
    ),
    "unknown base": (put("teachers.t1.base", "not/here/at-all"), 1, "pretrained 'not/here/at-all'"),
    "too many layers": (
        both(put("student.layers", 9), put("teachers", {}), put("rows", {"bert-3": {"stages": [
            {"corpus": "task", "teachers": [], "alpha": 0}]}})),
        1,
        "student.layers is 9, but bert has 2",
    ),
    "a test called train": (put("tasks.toy.tests", {"train": "test.tsv"}), 2, "'train' is the name of another split"),
}  # fmt: skip

SCORES: dict[str, tuple[Spoil, int, str]] = {
    "NaN teacher score": (edit("scores.tsv", lambda text: text.replace("0.9", "nan", 1)), 1, "row 1: nan; probability"),
    "infinite teacher score": (
        both(put("teachers.judge.imported", "score"), edit("scores.tsv", lambda text: text.replace("0.9", "inf", 1))),
        1,
        "scores.tsv: row 1: inf; score must be finite",
    ),
    "wrong number of logits": (
        put("teachers.judge.imported", "logits"),
        1,
        "scores.tsv: 1 column(s) of kind logits cannot be logits of 2 classes",
    ),
    "no score column": (put("teachers.judge.score_columns", ["p"]), 1, "scores.tsv: no column 'p'"),
}  # fmt: skip


def cases(table: dict[str, tuple[Spoil, int, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("spoil", "code", "said"), table.values(), ids=table.keys())


@cases(FILES)
def test_a_wrong_file_is_refused_in_a_line(world: World, tmkd: Call, spoil: Spoil, code: int, said: str) -> None:
    spoil(world)
    ended = tmkd("collect", world.recipe, "--runs", world.runs)
    assert said in error_of(ended)
    assert ended.code == code


@cases(RECIPES)
def test_a_wrong_recipe_is_refused_before_any_work(
    world: World, tmkd: Call, spoil: Spoil, code: int, said: str
) -> None:
    spoil(world)
    ended = tmkd("run", world.recipe, "--runs", world.runs)
    assert said in error_of(ended)
    assert ended.code == code
    if code == 2:
        assert not world.runs.exists()


@cases(SCORES)
def test_wrong_scores_are_refused_in_a_line(finished: World, tmkd: Call, spoil: Spoil, code: int, said: str) -> None:
    spoil(finished)
    ended = tmkd("teach", finished.recipe, "--runs", finished.runs)
    assert said in error_of(ended)
    assert ended.code == code


def test_a_gap_in_imported_scores_names_the_first_pair(finished: World, tmkd: Call) -> None:
    edit("scores.tsv", lambda text: "\n".join(line for line in text.split("\n") if "sea" not in line))(finished)
    edit("scores.tsv", lambda text: "\n".join(text.splitlines()[:40]) + "\n")(finished)
    assert tmkd("teach", finished.recipe, "--runs", finished.runs).code == 0
    ended = tmkd("score", finished.recipe, "--runs", finished.runs)
    assert "teacher judge: no imported score for the pair" in error_of(ended)
    assert ended.code == 1


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (["LABEL_0", "LABEL_1"], "its classes are label_0, label_1, the task's are no, yes; map them"),
        (["no", "yes", "maybe"], "it has 3 classes (no, yes, maybe), the task has 2 (no, yes); take one of this task"),
    ],
)
def test_a_ready_made_teacher_of_other_classes_is_refused(
    finished: World, tmkd: Call, classes: list[str], told: str
) -> None:
    _ready_made(finished, classes)
    ended = tmkd("teach", finished.recipe, "--runs", finished.runs)
    assert f"teacher r1: {told}" in error_of(ended)
    assert ended.code == 1


def test_a_ready_made_teacher_takes_part_once_its_classes_are_mapped(finished: World, tmkd: Call) -> None:
    _ready_made(finished, ["LABEL_0", "LABEL_1"])
    tiny.change(finished.recipe, "teachers.r1.classes", {"no": "LABEL_1", "yes": "LABEL_0"})
    for row in ("1avg-o-1", "m-o-m", "tkd", "tmkd", "1-o-1"):
        tiny.change(finished.recipe, f"rows.{row}", None)
    ended = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert ended.code == 0, ended.err
    rows = json.loads((finished.run / "report.json").read_text())["rows"]
    assert [row["row"] for row in rows] == [*tiny.YARDSTICKS, "t1", "t2", "r1", "ensemble", "bert-3", "mkd"]
    assert rows[2]["bytes"] > 0


def _ready_made(world: World, classes: list[str]) -> None:
    """A copy of teacher t1 whose configuration names other classes."""
    import torch
    from transformers import AutoModelForSequenceClassification, BertConfig

    from tmkd.network.encoder import quiet

    folder = world.recipe.parent / "ready"
    shutil.copytree(world.recipe.parent / "bert", folder)
    config = BertConfig.from_pretrained(folder)
    config.id2label, config.label2id = dict(enumerate(classes)), {name: i for i, name in enumerate(classes)}
    torch.manual_seed(1)
    with quiet():
        AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tiny.change(world.recipe, "teachers.r1", {"task": "toy", "model": "ready", "max_length": 48})


def test_golden_loss_on_unlabelled_pairs_is_an_error(finished: World, tmkd: Call) -> None:
    add("train.tsv", "why is it cold", "the ice is near .", "")(finished)
    assert tmkd("collect", finished.recipe, "--runs", finished.runs).code == 0
    ended = tmkd("teach", finished.recipe, "--runs", finished.runs)
    assert "train.tsv: pair 37 of 37 ('why is it cold') has no golden label, which alpha < 1 needs" in error_of(ended)
    assert ended.code == 1


def test_a_question_longer_than_the_maximum_gives_way(finished: World, tmkd: Call) -> None:
    long = "why is the moon " * 100
    for name in ("train.tsv", "test.tsv"):
        add(name, f"{name} {long}", f"the {name} rock", "no")(finished)
    (finished.data / "questions.txt").write_text(long + "\n" + (finished.data / "questions.txt").read_text())
    tiny.change(finished.recipe, "teachers.judge", None)
    for row in ("1avg-o-1", "m-o-m", "tkd", "mkd", "1-o-1"):
        tiny.change(finished.recipe, f"rows.{row}", None)
    ended = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert ended.code == 0, ended.err


GONE = {"collect": "pairs", "teach": "teachers", "score": "softlabels", "distill": "students", "evaluate": "report"}


@pytest.mark.parametrize(
    ("verb", "bytes_"),
    [
        ("collect", 100),
        ("collect", 3_000),
        ("collect", 5_000),
        ("teach", 25_000),
        pytest.param("teach", 2_000, marks=pytest.mark.slow),
        pytest.param("score", 300, marks=pytest.mark.slow),
        pytest.param("distill", 20_000, marks=pytest.mark.slow),
        pytest.param("evaluate", 15_000, marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_is_an_error_and_the_run_goes_on_when_there_is_room(
    finished: World, tmkd: Call, verb: str, bytes_: int
) -> None:
    """A limit on the size of files stands for the disk: every library meets it where it writes."""
    expected = tiny.comparable(finished.run / "report.json")
    gone = GONE[verb]
    shutil.rmtree(finished.run / gone)

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    ended = tiny.tmkd(verb, finished.recipe, "--runs", finished.runs, preexec_fn=small)
    assert ended.returncode == 1
    error_of(Said(ended.returncode, ended.stdout, ended.stderr))
    assert not list((finished.run / gone).rglob("*.part"))
    assert tmkd("run", finished.recipe, "--runs", finished.runs).code == 0
    assert tiny.comparable(finished.run / "report.json") == expected


@pytest.mark.parametrize(
    ("where", "error", "said"),
    [
        ("os.fsync", OSError(errno.ENOSPC, "No space left on device"), ": cannot be written: No space left on device"),
        (
            "pyarrow.parquet.write_table",
            OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"),
            "error: the disk is full; free some space, and the same command goes on from here",
        ),
    ],
)
def test_no_space_left_is_an_error_of_one_line(
    world: World, tmkd: Call, monkeypatch: pytest.MonkeyPatch, where: str, error: OSError, said: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as while_full:
        while_full.setattr(where, full)
        ended = tmkd("collect", world.recipe, "--runs", world.runs)
    assert error_of(ended).endswith(said)
    assert ended.code == 1
    assert tmkd("collect", world.recipe, "--runs", world.runs).code == 0


def test_a_student_that_cannot_be_written_is_an_error(
    finished: World, tmkd: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import PreTrainedModel

    def full(*_: object, **__: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", full)
    for verb, whose in (("distill", "student"), ("teach", "teacher")):
        shutil.rmtree(finished.run / GONE[verb])
        ended = tmkd(verb, finished.recipe, "--runs", finished.runs)
        assert f"the {whose} cannot be written" in error_of(ended)
        assert ended.code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run"], "Missing argument"),
        (["run", "r.yaml", "--sot", "a=b"], "No such option"),
        (["fly"], "No such command"),
        (["run", "r.yaml", "extra.yaml"], "unexpected extra argument"),
    ],
)
def test_wrong_usage_ends_with_2(tmkd: Call, words: list[str], said: str) -> None:
    ended = tmkd(*words)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("rows.tmkd.stages.1.alpha", "write it as path.to.key=value"),
        ("rows.tmkd.stages.7.alpha=0.5", "there is no '7' in rows.tmkd.stages"),
        ("seeds=[1", "the value is not YAML"),
        ("device=tpu", "device"),
        ("name=../up", "name"),
    ],
)
def test_a_wrong_change_is_refused_in_a_line(world: World, tmkd: Call, change: str, said: str) -> None:
    ended = tmkd("show", world.recipe, "--runs", world.runs, "--set", change)
    assert said in error_of(ended)
    assert ended.code == 2


def test_a_runs_folder_that_is_a_file_is_refused(world: World, tmkd: Call) -> None:
    world.runs.write_text("not a folder")
    ended = tmkd("run", world.recipe, "--runs", world.runs)
    assert str(world.runs) in error_of(ended)
    assert ended.code == 1


def test_ctrl_c_prints_the_command_that_goes_on(world: World, tmkd: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tmkd.collect.tasks.collect_task", interrupt)
    ended = tmkd("run", world.recipe, "--runs", world.runs)
    assert ended.code == 130
    assert ended.err.splitlines()[-1] == "interrupted; the same command goes on from here"


def test_check_estimates_the_work_and_then_finds_all_done(world: World, finished: World, tmkd: Call) -> None:
    before = tmkd("check", world.recipe, "--runs", world.runs)
    assert before.code == 0
    assert "steps left, very roughly" in before.out
    listed = json.loads(tmkd("check", world.recipe, "--runs", world.runs, "--json").out)
    assert {"teach/t1", "score/web/judge", "evaluate/report"} <= {one["step"] for one in listed}
    after = tmkd("check", finished.recipe, "--runs", finished.runs)
    students = "students of the rows: 7 (students' seeds 1; teachers' seeds 1)"
    assert after.out == f"{students}\nthe recipe and its files are in order; all is done\n"
    assert json.loads(tmkd("check", finished.recipe, "--runs", finished.runs, "--json").out) == []


def test_results_are_on_stdout_and_all_else_on_stderr(finished: World, tmkd: Call) -> None:
    for verb in ("run", "evaluate", "collect", "teach", "score", "distill", "clean"):
        rows = ["row", "bm25", "cosine", "t1", "t2", "ensemble", *tiny.ROWS] if verb in ("run", "evaluate") else []
        ended = tmkd(verb, finished.recipe, "--runs", finished.runs)
        assert (ended.code, printed_rows(ended.out)) == (0, rows), verb


@pytest.mark.parametrize(
    ("library", "verb", "said"),
    [
        ("torch", "teach", "error: this needs torch: pip install 'tmkd[train]'"),
        ("transformers", "teach", "error: this needs transformers: pip install 'tmkd[train]'"),
        ("tantivy", "collect", "error: search needs tantivy: pip install 'tmkd[collect]'"),
    ],
)
def test_a_missing_extra_is_named_in_a_line(world: World, finished: World, library: str, verb: str, said: str) -> None:
    script = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {library!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
from tmkd.cli.app import main
main()
"""
    shutil.rmtree(finished.run / "teachers")
    place = world if verb == "collect" else finished
    words = [sys.executable, "-c", script, verb, str(place.recipe), "--runs", str(place.runs)]
    ended = subprocess.run(words, env=tiny.environment(), capture_output=True, text=True)
    assert error_of(Said(ended.returncode, ended.stdout, ended.stderr)) == said
    assert ended.returncode == 1


def test_help_needs_neither_torch_nor_arrow() -> None:
    script = (
        "import sys, tmkd.cli.app; sys.argv = ['tmkd', '--help']\ntry: tmkd.cli.app.main()\nexcept SystemExit: pass\n"
    )
    script += "print(sorted({'torch', 'transformers', 'pyarrow', 'pydantic', 'numpy'} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", script], env=tiny.environment(), capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "[]"
    for verb in ("run", "show", "check", "init", "clean", "collect", "teach", "score", "distill", "evaluate"):
        assert verb in ended.stdout


def test_a_closed_pipe_is_no_traceback(finished: World) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        tiny.command("show", finished.recipe, "--runs", finished.runs), env=tiny.environment(), stdout=writing,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(writing)
    assert "Traceback" not in ended.stderr
