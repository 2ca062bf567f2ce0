"""The command line called in this process, and the tiny world: fresh for each test, or with its run finished once."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded: tests share the machine
os.environ["HF_HUB_OFFLINE"] = "1"

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

import tiny
from object_server import CREDENTIALS, INSTALL, Proxy, empty_s3, moto
from tiny import Call, Said, World
from tmkd.cli import app, options
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus, pair_table, write_corpus


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of `make test-all`."""
    parser.addoption(
        "--absent-fails", action="store_true", help="fail, don't skip, where a program or package is absent"
    )


@pytest.fixture(scope="session")
def absent(request: pytest.FixtureRequest) -> Callable[[str], NoReturn]:
    """Skip a test, or fail it with --absent-fails, because a program is absent; the reason says how to install it."""

    def end(reason: str) -> NoReturn:
        (pytest.fail if request.config.getoption("--absent-fails") else pytest.skip)(reason)

    return end


@pytest.fixture(scope="session")
def optional(absent: Callable[[str], NoReturn]) -> Callable[[str, str], ModuleType]:
    """Import a package that belongs to an extra of ours; where it is not installed, the test is skipped or fails."""

    def find(name: str, extra: str) -> ModuleType:
        try:
            return import_module(name)
        except ModuleNotFoundError:
            absent(f"{name} is not installed: python -m pip install -c constraints.txt -e '.[{extra}]'")

    return find


@pytest.fixture
def tmkd(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call `tmkd` as its script does, but in this process."""

    def call(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["tmkd", *map(str, words)])
        for console in (options.out, options.err):
            monkeypatch.setattr(console, "width", 200)
        capsys.readouterr()
        code: object = 0
        try:
            app.main()
        except SystemExit as end:
            code = end.code or 0
        said = capsys.readouterr()
        return Said(int(str(code)), said.out, said.err)

    return call


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Encoder, data and recipe: not to be changed."""
    return World(tiny.write_world(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="session")
def finished_world(tiny_world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world with its run finished, by the real command line: not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "world"
    shutil.copytree(tiny_world.recipe.parent, folder)
    world = World(folder / "tiny.yaml")
    done = tiny.tmkd("run", world.recipe, "--runs", world.runs)
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    return world


@pytest.fixture
def world(tiny_world: World, tmp_path: Path) -> World:
    """The world for one test, without a run."""
    shutil.copytree(tiny_world.recipe.parent, tmp_path / "world")
    return World(tmp_path / "world" / "tiny.yaml")


@pytest.fixture
def finished(finished_world: World, tmp_path: Path) -> World:
    """The world with its finished run, for one test."""
    shutil.copytree(finished_world.recipe.parent, tmp_path / "finished")
    copy = World(tmp_path / "finished" / "tiny.yaml")
    (copy.run / "recipe.yaml").unlink()  # it names the recipe it was copied from
    return copy


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(student, bundle) of random weights, without a training run: not to be changed."""
    from tiny_bundle import write_bundle

    return write_bundle(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="session")
def made_of_three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same with three classes."""
    from tiny_bundle import write_bundle

    return write_bundle(tmp_path_factory.mktemp("three"), LabelSet("nli", ("no", "maybe", "yes"), "yes"))


@pytest.fixture
def corpus(tmp_path: Path) -> Callable[..., Corpus]:
    """(rows of question, passage, label name or None; rows a shard) → a corpus of the classes no and yes."""
    toy = LabelSet("toy", ("no", "yes"), "yes")

    def make(rows: Sequence[tuple[str, str, str | None]], shard_rows: int = 50_000, name: str = "corpus") -> Corpus:
        labels = [None if label is None else toy.names.index(label) for _, _, label in rows]
        table = pair_table([row[0] for row in rows], [row[1] for row in rows], labels, "rows.tsv")
        return write_corpus(tmp_path / name, toy, [table], shard_rows)

    return make


@pytest.fixture(scope="session")
def moto_port(absent: Callable[[str], NoReturn]) -> Iterator[int]:
    """Port of moto's S3, in this process."""
    if find_spec("moto") is None or find_spec("obstore") is None:
        absent(f"moto or obstore is absent: {INSTALL}")
    with moto() as port:
        yield port


@pytest.fixture
def s3(moto_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """An empty bucket of moto behind a proxy that plays faults, credentials, and an empty cache."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TMKD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TMKD_LOCK", raising=False)
    with empty_s3(moto_port) as (proxy, endpoint):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        yield proxy
