"""The verbs before there is a run: a recipe to fill in, and the start of a Bi-LSTM student."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tiny import Call


def test_init_writes_a_recipe_that_can_be_read(tmp_path: Path, tmkd: Call) -> None:
    recipe = tmp_path / "mine.yaml"
    assert tmkd("init", recipe).code == 0
    assert isinstance(yaml.safe_load(recipe.read_text()), dict)
    again = tmkd("init", recipe)
    assert (again.code, again.out) == (2, "")
    assert again.err == f"error: {recipe} exists already; name a new file\n"
    ended = tmkd("check", recipe, "--runs", tmp_path / "runs")
    assert (ended.code, ended.out) == (1, "")
    assert "no such file" in ended.err  # everything but the user's own files is in order
    assert "error" in tmkd("init", tmp_path / "no" / "folder.yaml").err


def test_words_writes_a_folder_that_a_student_starts_from(tmp_path: Path, tmkd: Call) -> None:
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("moon 0.1 0.2\nsun 0.3 0.4\nstar 0.5 0.6\n")
    said = tmkd("words", vectors, tmp_path / "start", "--words", 2)
    assert (said.code, said.out) == (0, ""), said.err
    assert said.err == f"wrote {tmp_path / 'start'}: 2 words\n"
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
        path.name for path in (tmp_path / "start").iterdir()
    }


def test_words_of_texts_are_those_that_stand_in_them_most_often(tmp_path: Path, tmkd: Call) -> None:
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("moon 0.1 0.2\nsun 0.3 0.4\nstar 0.5 0.6\n")
    (tmp_path / "a.tsv").write_text("ask\tpassage\tlabel\nmoon comet\tthe comet\tyes\n")
    (tmp_path / "b.tsv").write_text("question\tpassage\nmoon\tmoon comet\n")
    first = f"{{file: {tmp_path / 'a.tsv'}, columns: {{question: ask}}}}"
    said = tmkd("words", vectors, tmp_path / "start", "--words", 2, "--texts", first, "--texts", tmp_path / "b.tsv")
    assert said.err == f"wrote {tmp_path / 'start'}: 2 words, 1 of them without a vector\n"
    assert list(json.loads((tmp_path / "start" / "tokenizer.json").read_bytes())["model"]["vocab"])[4:] == [
        "moon", "comet",
    ]  # fmt: skip
    (tmp_path / "empty.tsv").write_text("question\tpassage\n")
    said = tmkd("words", vectors, tmp_path / "new", "--texts", tmp_path / "empty.tsv")
    assert (said.code, said.err) == (1, f"error: {tmp_path / 'empty.tsv'}: empty, it has no rows\n")
    said = tmkd("words", vectors, tmp_path / "new", "--texts", tmp_path / "none.tsv")
    assert (said.code, said.out) == (1, "")
    assert "none.tsv" in said.err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("option", "value"), [("--words", 0), ("--layers", 0), ("--seed", -1)])
def test_words_refuses_a_number_below_its_least(tmp_path: Path, tmkd: Call, option: str, value: int) -> None:
    said = tmkd("words", tmp_path / "vectors.txt", tmp_path / "start", option, value)
    assert said.code == 2
    assert option in said.err
    assert not (tmp_path / "start").exists()
