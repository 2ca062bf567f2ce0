from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmkd.errors import UsageError
from tmkd.recipe.parts import SourceSpec
from tmkd.recipe.reader import read_recipe, read_source_spec
from tmkd.recipe.schema import Recipe

RECIPE = """\
name: toy
tasks:
  answers:
    train: train.tsv
    tests: {test: test.tsv}
collect:
  web: {task: answers, pairs: pairs.tsv}
teachers:
  t1: &teacher {task: answers, base: bert, fit: {epochs: 2, batch: 16}}
  t2: {<<: *teacher, seed: 2}
student: {base: bert}
stages:
  pretrain: {corpus: web, alpha: 1.0, fit: {epochs: 2}}
  finetune: {alpha: 0.9, fit: {epochs: 3, batch: 16}}
rows:
  bert-3: {stages: [{use: finetune, teachers: [], alpha: 0.0}]}
  tmkd:
    stages:
      - pretrain
      - {use: finetune, fit: {epochs: 1}}
"""


def read(folder: Path, text: str | bytes = RECIPE, *changes: str) -> Recipe:
    path = folder / "r.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_recipe(path, changes)


def refused(folder: Path, text: str | bytes = RECIPE, *changes: str) -> str:
    """The message for a recipe that is refused, without the folder: one line."""
    with pytest.raises(UsageError) as caught:
        read(folder, text, *changes)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{folder}/", "")


def mended(old: str, new: str) -> str:
    assert RECIPE.count(old) == 1
    return RECIPE.replace(old, new)


# -- use: ---------------------------------------------------------------------------------------------------------


def test_a_stage_starts_from_the_shared_one_and_the_rows_own_keys_win(tmp_path: Path) -> None:
    rows = read(tmp_path).rows
    first, second = rows["tmkd"].stages
    assert (first.corpus, first.alpha, first.fit.epochs, first.fit.batch) == ("web", 1.0, 2, 32)
    assert (second.corpus, second.alpha, second.fit.epochs, second.fit.batch) == ("task", 0.9, 1, 16)
    plain = rows["bert-3"].stages[0]
    assert (plain.alpha, plain.teachers, plain.fit.epochs) == (0.0, (), 3)


def test_what_a_row_has_for_one_task_leaves_the_rest_of_the_shared_fit_on(tmp_path: Path) -> None:
    tasks = "tasks:\n  far: {train: train.tsv, tests: {test: test.tsv}}\n"
    text = RECIPE.replace("tasks:\n", tasks).replace(
        "finetune: {alpha: 0.9,", "finetune: {alpha: 0.9, fit_on: {answers: {batch: 2}, far: {batch: 4}},"
    )
    text = text.replace("fit: {epochs: 1}}", "fit: {epochs: 1}, fit_on: {answers: {epochs: 7}}}")
    stage = read(tmp_path, text).rows["tmkd"].stages[1]
    on, other = stage.on("answers").fit, stage.on("far").fit
    assert ((on.epochs, on.batch), (other.epochs, other.batch)) == ((7, 2), (1, 4))


@pytest.mark.parametrize("key", ["fit", "fit_on"])
def test_a_rows_own_null_is_no_wish_for_the_shared_one(tmp_path: Path, key: str) -> None:
    text = mended("{alpha: 0.9, fit: {epochs: 3, batch: 16}}", "{alpha: 0.9, fit: {}, fit_on: {answers: {batch: 2}}}")
    text = text.replace("{use: finetune, fit: {epochs: 1}}", f"{{use: finetune, {key}: null}}")
    assert f"rows.tmkd.stages.1.{key}" in refused(tmp_path, text)


def test_a_stage_of_the_rows_own_needs_no_shared_one(tmp_path: Path) -> None:
    text = RECIPE.replace("- pretrain", "- {corpus: web, alpha: 1, teachers: [t1]}")
    assert read(tmp_path, text).rows["tmkd"].stages[0].teachers == ("t1",)


@pytest.mark.parametrize(
    ("use", "told"),
    [
        ("use: pretrian", "no stage 'pretrian' under stages; did you mean 'pretrain'?"),
        ("use: [1]", "no stage [1] under stages; there is pretrain, finetune"),
        ("use:", "no stage null under stages; there is pretrain, finetune"),
    ],
)
def test_a_shared_stage_that_is_not_there(tmp_path: Path, use: str, told: str) -> None:
    assert refused(tmp_path, RECIPE.replace("- pretrain", f"- {use}")) == f"r.yaml:19: rows.tmkd: {told}"


def test_shared_stages_without_names(tmp_path: Path) -> None:
    text = RECIPE[: RECIPE.index("stages:")] + "stages: [{alpha: 1.0}]\nrows: {}\n"
    assert refused(tmp_path, text) == "r.yaml:12: stages: give names, and below each the keys of a stage"


# -- unknown keys, wrong values: file, line, key miss --------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("teachers:\n", "teacher:\n", "r.yaml:8: unknown key 'teacher'; did you mean 'teachers'?"),
        ("seed: 2", "sede: 2", "r.yaml:10: unknown key 'teachers.t2.sede'; did you mean 'seed'?"),
        ("epochs: 2, b", "epoch: 2, b", "r.yaml:9: unknown key 'teachers.t1.fit.epoch'; did you mean 'epochs'?"),
        ("{base: bert}", "{base: bert, zz: 1}",
         "r.yaml:11: unknown key 'student.zz'; there is base, layers, ffn, vocabulary, pool, fresh_pooler, "
             "max_length"),
        ("train: train.tsv", "train: [{fil: x}]", "r.yaml:4: unknown key 'answers.train.0.fil'; did you mean 'file'?"),
        # What a row has from a shared stage is to be mended there; what it says itself, here.
        ("alpha: 0.9", "alfa: 0.9", "r.yaml:14: unknown key 'stages.finetune.alfa'; did you mean 'alpha'?"),
        ("epochs: 2}", "epocs: 2}", "r.yaml:13: unknown key 'stages.pretrain.fit.epocs'; did you mean 'epochs'?"),
        ("epochs: 1", "epocs: 1", "r.yaml:20: unknown key 'rows.tmkd.stages.1.fit.epocs'; did you mean 'epochs'?"),
        ("    stages:", "    satges:", "r.yaml:18: unknown key 'rows.tmkd.satges'; did you mean 'stages'?"),
    ],
)  # fmt: skip
def test_an_unknown_key_names_the_line_and_the_near_miss(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert refused(tmp_path, mended(old, new)).replace("tasks.answers", "answers") == told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("alpha: 0.9", "alpha: 1.5", "r.yaml:20: rows.tmkd.stages.1: alpha is 1.5; Eq. 5 needs 0 <= alpha <= 1"),
        ("alpha: 0.9", "alpha: .nan", "r.yaml:20: rows.tmkd.stages.1: alpha is nan; Eq. 5 needs 0 <= alpha <= 1"),
        ("alpha: 0.9", "alpha: high", "r.yaml:14: stages.finetune.alpha: give a number; this is 'high'"),
        (
            "teachers: [], alpha: 0.0",
            "teachers: []",
            "r.yaml:16: rows.bert-3.stages.0: alpha is 0.9 but the stage has no teachers; name some or set alpha: 0",
        ),
        (
            "teachers: [], alpha: 0.0",
            "alpha: 0.0",
            "r.yaml:16: rows.bert-3.stages.0: alpha is 0, so teachers have no weight in the loss; "
            "set teachers: [] or alpha above 0",
        ),
        (
            "teachers: [], alpha: 0.0",
            "teachers: bset",
            "r.yaml:16: rows.bert-3.stages.0.teachers: give 'all', 'best' or 'each' or give a list, such as [a, b]; "
            "this is 'bset'",
        ),
        ("{base: bert}", "{base: bert, layers: 0}", "r.yaml:11: student.layers: give at least 1; this is 0"),
        ("{base: bert}", "{base: bert, layers: 2.5}", "r.yaml:11: student.layers: give a whole number; this is 2.5"),
        ("{base: bert}", "", "r.yaml:11: student is empty; fill it in, or remove the line"),
        ("student: {base: bert}", "device: cpu", "r.yaml:1: 'student' is missing"),
        ("student:", "seeds: 3\nstudent:",
         "r.yaml:11: seeds: give a list, such as [1, 2], or lists of students and teachers; this is 3"),
        ("student:", "device: gpu\nstudent:", "r.yaml:11: device: give 'auto', 'cpu' or 'cuda'; this is 'gpu'"),
        ("train: train.tsv", "train:", "r.yaml:4: tasks.answers.train is empty; fill it in, or remove the line"),
        ("{test: test.tsv}", "test.tsv",
         "r.yaml:5: tasks.answers.tests: give keys and values below it; this is 'test.tsv'"),
        ("{test: test.tsv}", "{a/b: x}",
         "r.yaml:5: tasks.answers.tests.a/b: a name has letters, digits, - and _ only; this is 'a/b'"),
        ("task: answers, pairs", "task: answer, pairs",
         "r.yaml:7: collect.web.task: no task 'answer'; there is answers"),
        (", pairs: pairs.tsv", "", "r.yaml:7: collect.web: give questions with documents or passages, or pairs"),
        ("student:", "pretrained: {m: {hub: a, sha256: f00}}\nstudent:",
         "r.yaml:11: pretrained.m.sha256: give 64 hexadecimal digits (SHA-256); this is 'f00'"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_an_error_with_line_and_expected_values(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert refused(tmp_path, mended(old, new)) == told


# -- the traps of YAML ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("  tmkd:", "  on:", "r.yaml:17: YAML reads the key on as bool, not as text; put it in quotes"),
        ("  t2:", "  2:", "r.yaml:10: YAML reads the key 2 as int, not as text; put it in quotes"),
        ("  web:", "  2024-01-01:",
         "r.yaml:7: YAML reads the key 2024-01-01 as timestamp, not as text; put it in quotes"),
        ("{test:", "{off:", "r.yaml:5: YAML reads the key off as bool, not as text; put it in quotes"),
        ("    tests:", "    labels: [no, yes]\n    tests:",
         "r.yaml:5: tasks.answers.labels.0: give text; YAML reads this as false, not as text, so put it in quotes"),
        ("name: toy", "name: 2024",
         "r.yaml:1: name: give text; YAML reads this as 2024, not as text, so put it in quotes"),
        ("name: toy", "name: toy\nname: toys", "r.yaml:2: 'name' was given in line 1 already; keep one"),
        ("  tmkd:", "  bert-3:", "r.yaml:17: 'bert-3' was given in line 16 already; keep one"),
        ("seed: 2", "seed: 2, seed: 3", "r.yaml:10: 'seed' was given in line 10 already; keep one"),
    ],
)  # fmt: skip
def test_what_yaml_takes_for_something_else(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert refused(tmp_path, mended(old, new)) == told


def test_rates_may_be_written_either_way(tmp_path: Path) -> None:
    for rate in ("2e-5", "2.0e-5", "0.00002"):
        text = mended("epochs: 2}", f"learning_rate: {rate}}}")
        assert read(tmp_path, text).rows["tmkd"].stages[0].fit.learning_rate == 2e-5


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("tasks: [a\nname: {", ":2: not YAML: while parsing a flow sequence, expected ',' or ']', but got ':'"),
        ("name: x\n\ttasks: 1\n", ":2: not YAML: while scanning for the next token, found character '\\t'"),
        ("name: !!python/object/apply:os.getcwd []", ":1: not YAML: could not determine a constructor for the tag"),
        ("name: *nobody", ":1: not YAML: found undefined alias 'nobody'"),
        (RECIPE + "---\n" + RECIPE, ":21: not YAML: expected a single document in the stream, but found another"),
        (b"name: \xff\xfe", ": not YAML: byte 7 is not UTF-8; save the file as UTF-8"),
        (b"name: \x00", ": not YAML: unacceptable character #x0000"),
        ("date: 2024-99-99", ": not YAML: month must be in 1..12"),
        ("a: " + "[" * 5000, ": not YAML: maximum recursion depth exceeded"),
        ("", ": not a recipe: expected keys such as name, tasks, teachers at the top"),
        ("a sentence", ": not a recipe: expected keys"),
        ("- name\n- tasks\n", ": not a recipe: expected keys"),
        (b"#" * ((1 << 20) + 1), ": 1048577 bytes is too large for a recipe"),
    ],
)
def test_files_that_are_no_recipe_are_errors(tmp_path: Path, content: str | bytes, told: str) -> None:
    assert refused(tmp_path, content).startswith(f"r.yaml{told}")


@pytest.mark.parametrize("place", ["nowhere.yaml", "."])
def test_a_recipe_that_cannot_be_read(tmp_path: Path, place: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be read: .*; name a recipe file") as caught:
        read_recipe(tmp_path / place)
    assert caught.value.exit_code == 2


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80) | st.binary(max_size=80))
def test_nothing_but_a_usage_error_comes_of_any_file(
    tmp_path_factory: pytest.TempPathFactory, content: str | bytes
) -> None:
    refused(tmp_path_factory.mktemp("any"), content)


# -- --set ---------------------------------------------------------------------------------------------------------


def test_set_changes_one_stage_of_one_row(tmp_path: Path) -> None:
    changed = read(tmp_path, RECIPE, "rows.tmkd.stages.1.alpha=0.3", "rows.tmkd.stages.0.fit.epochs=5")
    first, second = changed.rows["tmkd"].stages
    assert (first.alpha, first.fit.epochs, second.alpha, second.fit.epochs) == (1.0, 5, 0.3, 1)
    assert changed.rows["bert-3"].stages[0].alpha == 0.0


def test_set_leaves_alone_what_an_anchor_shares(tmp_path: Path) -> None:
    teachers = read(tmp_path, RECIPE, "teachers.t1.fit.epochs=9").teachers
    assert (teachers["t1"].fit.epochs, teachers["t2"].fit.epochs) == (9, 2)


def test_set_reads_its_value_as_yaml_and_may_add_what_the_recipe_leaves_out(tmp_path: Path) -> None:
    changed = read(
        tmp_path,
        RECIPE,
        "seeds=[1, 2]",
        "evaluate.pairs=8",
        "stages.finetune.fit.clip=2",
        "data=a=b",
        "student.layers=1",
    )
    assert (changed.seeds.students, changed.evaluate.pairs, changed.data, changed.student.layers) == (
        (1, 2),
        8,
        "a=b",
        1,
    )
    assert changed.rows["tmkd"].stages[1].fit.clip == 2.0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("rows.tmkd.stages.1.alpha", "write it as path.to.key=value"),
        ("=3", "write it as path.to.key=value"),
        ("rows..x=3", "write it as path.to.key=value"),
        ("name=[", "the value is not YAML"),
        ("name=2024-99-99", "the value is not YAML"),
        ("rows.tmdk.stages.1.alpha=0.3", "the recipe has no 'rows.tmdk'; did you mean 'tmkd'?"),
        ("studnet.layers=1", "the recipe has no 'studnet'; did you mean 'student'?"),
        ("rows.tmkd.stages.2.alpha=0.3", "there is no '2' in rows.tmkd.stages, which has items 0 to 1"),
        ("rows.tmkd.stages.-1.alpha=0.3", "there is no '-1' in rows.tmkd.stages, which has items 0 to 1"),
        ("name.x=3", "there is no 'x' in name, which is 'toy'"),
    ],
)
def test_set_of_a_missing_key_is_an_error(tmp_path: Path, change: str, told: str) -> None:
    assert refused(tmp_path, RECIPE, change) == f"--set {change}: {told}"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("rows.tmkd.stages.1.alpha=3", "r.yaml:20, {}: rows.tmkd.stages.1: alpha is 3.0; Eq. 5 needs 0 <= alpha <= 1"),
        ("rows.tmkd.stages.1.alhpa=.3", "r.yaml:20, {}: unknown key 'rows.tmkd.stages.1.alhpa'; did you mean 'alpha'?"),
        ("teachers.t2.fit.epoch=1", "r.yaml:10, {}: unknown key 'teachers.t2.fit.epoch'; did you mean 'epochs'?"),
        ("student=", "r.yaml:11, {}: student is empty; fill it in, or remove the line"),
        ("seeds=2", "r.yaml:1, {}: seeds: give a list, such as [1, 2], or lists of students and teachers; this is 2"),
    ],
)
def test_the_error_on_a_wrong_value_given_by_set_names_set(tmp_path: Path, change: str, told: str) -> None:
    assert refused(tmp_path, RECIPE, "name=other", change) == told.format(f"with --set {change}")


def test_a_recipe_may_begin_with_a_byte_order_mark_and_is_no_utf16(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff" + RECIPE) == read(tmp_path, RECIPE)
    assert refused(tmp_path, RECIPE.encode("utf-16")).startswith("r.yaml: not YAML: byte 1 is not UTF-8; save the file")


def test_an_option_names_a_file_or_a_source_as_recipes_have_it() -> None:
    assert read_source_spec("--file", "new, file.tsv") == SourceSpec(file="new, file.tsv")
    source = read_source_spec("--file", "{file: new.csv, columns: {question: ask}, header: [ask, passage, label]}")
    assert (source.file, source.columns, source.header) == (
        "new.csv", {"question": "ask"}, ("ask", "passage", "label"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{file: new.tsv, colums: {}}", "unknown key 'colums'; did you mean 'columns'?"),
        ("{columns: {question: ask}}", "'file' is missing"),
        ("{file: 3}", "file: give text; YAML reads this as 3, not as text, so put it in quotes"),
        ("{file: new.tsv, votes: {}, threshold: 0.5}", "votes are no scores; take threshold out"),
        ("{file: new.tsv, threshold: high}", "threshold: give a number; this is 'high'"),
        ("{file: new.tsv", "begins with { but is not YAML"),
    ],
)
def test_a_faulty_source_in_an_option_is_refused_in_a_line(text: str, wrong: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_source_spec("--file", text)
    assert wrong in str(refused.value)
    assert str(refused.value).startswith("--file")
