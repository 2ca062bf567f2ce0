from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tmkd.errors import TmkdError
from tmkd.flow.step import Step
from tmkd.store import MANIFEST, WORK, verify


class Killed(BaseException):
    """Stands for kill -9: nothing catches it, nothing cleans up after it."""


def step(folder: Path, parts: int = 3, **given: Any) -> Step:
    """A step that writes `parts` files, each from a shared text, and skips those an interrupted run has left."""
    settings = {"text": "one", "parts": parts, **given.pop("settings", {})}

    def make(place: Path) -> dict[str, Any]:
        written = 0
        for part in range(parts):
            path = place / f"{part}.txt"
            if not path.exists():
                path.write_text(f"{settings['text']} {part}")
                written += 1
        return {"written": written}

    return Step("score/t1", "score", folder, given.pop("needs", {}), settings, given.pop("make", make), **given)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.txt")}


def test_making_seals_the_folder_and_leaves_no_scratch(tmp_path: Path) -> None:
    one = step(tmp_path / "a", outside={"file x": "1"})
    assert one.state().kind == "missing"
    manifest = one.execute()
    assert one.state().kind == "done"
    assert manifest.facts == {"written": 3}
    assert manifest.inputs == {"file x": "1"}
    assert sorted(path.name for path in one.folder.iterdir()) == ["0.txt", "1.txt", "2.txt", MANIFEST]


def test_needs_enter_the_manifest_by_their_digests(tmp_path: Path) -> None:
    first = step(tmp_path / "a")
    second = step(tmp_path / "b", needs={"score/first": first.folder})
    assert second.state().why == "waits for score/first"
    with pytest.raises(
        TmkdError, match=r"score/t1: score/first is not done; run that verb first, or all with: tmkd run"
    ):
        second.execute()
    digest = first.execute().digest
    assert second.execute().inputs == {"score/first": digest}
    step(first.folder, settings={"text": "two"}).execute()
    assert second.state().why == "input changed: score/first"
    (first.folder / MANIFEST).unlink()
    assert (second.state().kind, second.state().why) == ("stale", "waits for score/first")


def test_a_damaged_input_is_found_before_it_is_used(tmp_path: Path) -> None:
    first = step(tmp_path / "a")
    first.execute()
    (first.folder / "1.txt").write_text("One 1")
    made: list[str] = []

    def make(folder: Path) -> dict[str, Any]:
        made.append("it")
        return {}

    second = step(tmp_path / "b", needs={"first": first.folder}, make=make)
    with pytest.raises(TmkdError, match=r"1\.txt: its bytes differ"):
        second.execute()
    assert not made


def test_a_step_that_waits_is_not_made(tmp_path: Path) -> None:
    waiting = step(tmp_path / "a", waits="score/toy/dev/t1")
    assert waiting.state().why == "waits for score/toy/dev/t1"
    with pytest.raises(TmkdError, match="waits for score/toy/dev/t1; do that first"):
        waiting.execute()


def interrupted(one: Step, files: int) -> None:
    """Run a step that dies when it has written some files and a checkpoint."""

    def make(folder: Path) -> dict[str, Any]:
        for part in range(files):
            (folder / f"{part}.txt").write_text(f"{one.settings['text']} {part}")
        (folder / WORK / "checkpoint").write_text("half")
        raise Killed

    with pytest.raises(Killed):
        replace(one, make=make).execute()


def test_an_interrupted_step_goes_on_with_its_files_and_scratch(tmp_path: Path) -> None:
    one = step(tmp_path / "a")
    interrupted(one, 2)
    assert one.state().kind == "missing"
    assert (one.folder / WORK / "checkpoint").read_text() == "half"
    assert one.execute().facts == {"written": 1}


def test_another_recipe_starts_afresh(tmp_path: Path) -> None:
    interrupted(step(tmp_path / "a"), 2)
    other = step(tmp_path / "a", settings={"text": "two"})
    assert other.execute().facts == {"written": 3}
    assert content(other.folder) == {f"{part}.txt": f"two {part}".encode() for part in range(3)}


def test_another_input_starts_afresh(tmp_path: Path) -> None:
    interrupted(step(tmp_path / "a", outside={"file x": "1"}), 2)
    assert step(tmp_path / "a", outside={"file x": "2"}).execute().facts == {"written": 3}


def test_kept_files_survive_a_change(tmp_path: Path) -> None:
    one = step(tmp_path / "a", keep=("0.txt",))
    one.execute()
    (one.folder / "nested").mkdir()
    other = step(tmp_path / "a", settings={"colour": "red"}, keep=("0.txt",))
    assert other.execute().facts == {"written": 2}
    assert not (one.folder / "nested").exists()


@contextmanager
def killed(moment: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Die just before the n-th change of the disk that goes through these functions."""
    changes = count()

    def mortal(real: Any) -> Any:
        def dying(*words: Any, **named: Any) -> Any:
            if next(changes) == moment:
                raise Killed
            return real(*words, **named)

        return dying

    with monkeypatch.context() as patch:
        for owner, name in (
            (os, "replace"),
            (Path, "unlink"),
            (Path, "mkdir"),
            (Path, "write_text"),
            (shutil, "rmtree"),
        ):
            patch.setattr(owner, name, mortal(getattr(owner, name)))
        yield


def test_a_kill_at_any_moment_neither_shows_as_done_nor_mixes_old_with_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = step(tmp_path / "a"), step(tmp_path / "a", settings={"text": "two"})
    for moment in count():
        old.execute()
        (old.folder / "nested").mkdir()
        survived = False
        with killed(moment, monkeypatch), suppress(Killed):
            new.execute()
            survived = True
        if new.state().kind == "done":
            verify(new.folder)
        new.execute()
        assert content(new.folder) == {f"{part}.txt": f"two {part}".encode() for part in range(3)}
        assert sorted(path.name for path in new.folder.iterdir()) == ["0.txt", "1.txt", "2.txt", MANIFEST]
        if survived:
            assert moment > 8
            return


def test_the_seconds_of_a_manifest_are_those_of_all_restarts(tmp_path: Path) -> None:
    def make(place: Path) -> dict[str, Any]:
        return {"pairs": 3, "seconds": 4000.0}

    manifest = step(tmp_path / "a", make=make).execute()
    assert manifest.seconds == 4000
    assert manifest.facts == {"pairs": 3}
