"""The recipe of the paper: its settings beside the table in docs/paper.md, and its tasks in their official layouts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from tmkd.collect.judgments import read_labelled
from tmkd.data.labels import LabelSet
from tmkd.network.bilstm import BiLSTMConfig
from tmkd.recipe.parts import HubSpec
from tmkd.recipe.reader import read_recipe
from tmkd.recipe.schema import Recipe

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8").split("## The paper's settings")[1].splitlines()
SETTINGS = [
    (cells[1].strip(), cells[3].strip(), re.findall("`([^`]+)`", cells[4]))
    for cells in (line.split("|") for line in LINES)
    if len(cells) == 6 and "`" in cells[4]
]

MNLI = "index\tpromptID\tpairID\tgenre\tsentence1\tsentence2\tlabel1\tgold_label\n"
SNLI = '{"annotator_labels": ["neutral"], "gold_label": "%s", "sentence1": "A man.", "sentence2": "%s"}\n'
FILES = {
    "MNLI/train.tsv": MNLI + '0\t1\t1n\tfiction\t"No, he said.\tHe "agreed".\tneutral\tneutral\n',
    "snli_1.0/snli_1.0_train.jsonl": SNLI % ("-", "A dog.") + SNLI % ("entailment", "Somebody."),
    "QNLI/train.tsv": "index\tquestion\tsentence\tlabel\n0\tWho won?\tThey won 3-1 in \"'94.\tentailment\n",
    "RTE/train.tsv": "index\tsentence1\tsentence2\tlabel\n0\tIt rains.\tIt is dry.\tnot_entailment\n",
}  # fmt: skip


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return read_recipe(ROOT / "recipes" / "paper.yaml")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a recipe with its dotted path."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not pairs:
        yield path, value
    for key, one in pairs:
        yield from leaves(one, f"{path}.{key}" if path else str(key))


def test_the_table_has_every_setting_that_the_paper_gives() -> None:
    assert len(SETTINGS) == 18


@pytest.mark.parametrize(("setting", "wanted", "places"), SETTINGS, ids=[one[0] for one in SETTINGS])
def test_a_setting_is_the_papers(recipe: Recipe, setting: str, wanted: str, places: list[str]) -> None:
    known = list(leaves(recipe.model_dump(mode="json")))
    found = [{str(value) for path, value in known if fnmatchcase(path, place)} - {"None"} for place in places]
    assert set().union(*found) == set(wanted.split(", "))
    assert all(found)  # a pattern that finds nothing compares nothing


def test_the_table_has_the_rate_and_the_alpha_of_every_stage(recipe: Recipe) -> None:
    places = [place for _, _, of_setting in SETTINGS for place in of_setting]
    for path, _ in leaves(recipe.model_dump(mode="json")):
        if path.startswith("rows.") and path.endswith((".alpha", ".learning_rate")):
            assert [place for place in places if fnmatchcase(path, place)], path


def test_a_student_is_the_papers_but_for_its_layers_and_the_bi_lstm(recipe: Recipe) -> None:
    changed = {name: {**row.student.model_dump(exclude_unset=True)} for name, row in recipe.rows.items()}
    lstm = {name for name in recipe.rows if name.startswith("bi-lstm")}
    assert {name for name, fields in changed.items() if fields} == {"tmkd-base-1", "tmkd-base-5", *lstm}
    assert changed["tmkd-base-1"].keys() == changed["tmkd-base-5"].keys() == {"layers"}


def test_a_bi_lstm_has_the_papers_units_words_and_layers() -> None:
    config = BiLSTMConfig()
    assert config.hidden_size == 2 * 2 * 256  # two texts, two directions
    assert (config.embedding_size, config.num_hidden_layers) == (300, 2)


def test_stage_2_of_a_task_with_three_teachers_has_three(recipe: Recipe) -> None:
    count = {task: sum(one.task == task for one in recipe.teachers.values()) for task in recipe.tasks}
    assert count == {"deepqa": 3, "mnli": 3, "snli": 3, "qnli": 3, "rte": 3, "commqa": 4}


@pytest.mark.parametrize(
    ("task", "pairs"),
    [
        ("mnli", [('"No, he said.', 'He "agreed".', 1)]),
        ("snli", [("A man.", "Somebody.", 0)]),
        ("qnli", [("Who won?", "They won 3-1 in \"'94.", 1)]),
        ("rte", [("It rains.", "It is dry.", 0)]),
    ],
)
def test_a_task_is_read_as_its_authors_publish_it(
    recipe: Recipe, tmp_path: Path, task: str, pairs: list[tuple[str, str, int]]
) -> None:
    spec = recipe.tasks[task]
    (source,) = spec.train
    (tmp_path / source.file).parent.mkdir()
    (tmp_path / source.file).write_text(FILES[source.file], encoding="utf-8")
    table, _ = read_labelled(source, tmp_path, LabelSet(task, spec.labels, spec.positive))
    assert [(row["question"], row["passage"], row["label"]) for row in table.to_pylist()] == pairs


def documented() -> Recipe:
    """The tasks of the example in docs/data.md."""
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8").split("## Public data sets")[1]
    values = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    return Recipe.model_validate({"name": "r", "student": {"base": "b"}, **values})


def test_wikiqa_is_read_as_its_authors_publish_it(tmp_path: Path) -> None:
    (tmp_path / "WikiQA-test.tsv").write_text(
        "QuestionID\tQuestion\tDocumentID\tDocumentTitle\tSentenceID\tSentence\tLabel\n"
        'Q0\thow are "blue" caves formed\tD1\tGlacier cave\tD1-0\tA glacier cave is a cave .\t0\n'
        'Q0\thow are "blue" caves formed\tD1\tGlacier cave\tD1-1\t"Ice caves" are not .\t1\n',
        encoding="utf-8",
    )
    spec = documented().tasks["wikiqa"]
    (source,) = spec.tests["test"]
    table, _ = read_labelled(source, tmp_path, LabelSet("wikiqa", spec.labels, spec.positive))
    assert [(row["group"], row["passage"], row["label"]) for row in table.to_pylist()] == [
        ("Q0", "A glacier cave is a cave .", 0),
        ("Q0", '"Ice caves" are not .', 1),
    ]
    assert table["question"][0].as_py() == 'how are "blue" caves formed'


def test_a_task_of_the_hub_names_its_splits() -> None:
    rte = documented().tasks["rte"]
    assert rte.train[0].file == "hub/nyu-mll/glue/rte/train.parquet"
    assert rte.tests["dev-set"][0].hub == HubSpec(name="nyu-mll/glue", config="rte", split="validation")
