"""Output and arguments where the system is not UTF-8."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tmkd.cli.output import argument, print_json, replace_what_cannot_be_written
from tmkd.errors import UsageError
from tmkd.search.passage_store import Texts

KINDS = (("good", "yes"), ("cheap", "no"))
TRAIN = "".join(f"how is stone {n}\tstone {n} is {word}\t{label}\n" for n in range(4) for word, label in KINDS)
RECIPE = "# Übung, 東京\nname: r\ntasks: {t: {train: train.tsv, tests: {test: test.tsv}}}\nstudent: {base: none}\n"
ASCII = {"PYTHONUTF8": "0", "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}


def tmkd(folder: Path, environment: dict[str, str], *words: str | bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "tmkd", *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        timeout=120,
    )


@pytest.fixture
def world(tmp_path: Path) -> Path:
    (tmp_path / "train.tsv").write_text("question\tpassage\tlabel\n" + TRAIN, encoding="utf-8")
    test = "question\tpassage\tlabel\nwho made java\tgosling made java\tyes\nwho made java\tjava coffee shop\tno\n"
    (tmp_path / "test.tsv").write_text(test, encoding="utf-8")
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, ASCII])
def test_commands_work_where_the_system_is_not_utf8(world: Path, environment: dict[str, str]) -> None:
    for words in (("--help",), ("init", "my.yaml"), ("collect", "r.yaml"), ("show", "r.yaml")):
        done = tmkd(world, environment, *words)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), (words, done.stderr)
    kept = (world / "runs" / "r" / "recipe.yaml").read_text(encoding="utf-8")
    assert kept.partition("\n")[2] == RECIPE
    assert "(§3.1.1)" in (world / "my.yaml").read_text(encoding="utf-8")
    for missing in ("nö.yaml", b"n\xff.yaml"):
        done = tmkd(world, environment, "collect", missing)
        assert (done.returncode, b"Traceback" in done.stderr) == (2, False)
        assert b"cannot be read" in done.stderr


@pytest.mark.parametrize("environment", [{}, ASCII])
def test_file_names_are_utf8_in_recipes_arguments_and_folders(world: Path, environment: dict[str, str]) -> None:
    (world / "train.tsv").rename(world / "trän.tsv")
    (world / "pages").mkdir()
    page = "<p>Stone 1 is a good stone, and the stone of the house is the best stone of them all.</p>"
    (world / "pages" / "é.html").write_text(f"<html><body>{page * 9}</body></html>", encoding="utf-8")
    (world / "q.txt").write_text("how is the stone of the house\n", encoding="utf-8")
    web = "collect: {web: {task: t, documents: pages, questions: q.txt}}\n"
    (world / "ré.yaml").write_text(RECIPE.replace("train.tsv", "trän.tsv") + web, encoding="utf-8")
    done = tmkd(world, environment, "collect", "ré.yaml", "--runs", "läufe")
    assert done.returncode == 0, done.stderr
    texts = Texts(world / "läufe" / "r" / "index" / "web")
    assert {texts.url(number) for number in range(len(texts))} == {"é.html"}


def test_a_recipe_with_a_byte_order_mark_is_kept_without_it(world: Path) -> None:
    (world / "r.yaml").write_bytes(b"\xef\xbb\xbf" + RECIPE.encode())
    assert tmkd(world, {}, "collect", "r.yaml").returncode == 0
    assert (world / "runs" / "r" / "recipe.yaml").read_text(encoding="utf-8").partition("\n")[2] == RECIPE


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_keeps_every_character_in_every_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(buffer, encoding=encoding))
    value = {"é": "東京 😀 \udcff"}
    print_json(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()
    assert json.loads(buffer.getvalue()) == value


def test_other_output_gets_a_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(buffer, encoding="ascii"))
    replace_what_cannot_be_written()
    print("§ 1 東", flush=True)
    assert buffer.getvalue() == b"? 1 ?\n"


def test_an_argument_is_utf8() -> None:
    assert argument("--question", "où") == "où"
    assert argument("--question", "o\udcc3\udcb9") == "où"  # as Python reads it where the system is ASCII
    with pytest.raises(UsageError, match=r"^--question is not UTF-8$"):
        argument("--question", "o\udcff")
