"""The commit that is written beside results: the checkout's last one outside the results, changed or not, or none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tmkd.flow.checkout import commit_of


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    done = subprocess.run(["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a recipe in a folder, in one commit."""
    folder = tmp_path / "repository"
    (folder / "recipes").mkdir(parents=True)
    (folder / "recipes" / "r.yaml").write_text("name: r\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "recipe")
    return folder


def test_the_commit_is_that_of_the_checkout(checkout: Path) -> None:
    assert commit_of(checkout / "recipes", checkout / "results" / "r") == git(checkout, "rev-parse", "HEAD")


def test_committed_results_leave_it(checkout: Path) -> None:
    before = git(checkout, "rev-parse", "HEAD")
    results = checkout / "results" / "r"
    results.mkdir(parents=True)
    (results / "one.npz").write_bytes(b"1")
    assert commit_of(checkout / "recipes", results) == before
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "results")
    assert commit_of(checkout / "recipes", results) == before
    (results / "one.npz").write_bytes(b"2")
    assert commit_of(checkout / "recipes", results) == before
    assert commit_of(checkout / "recipes", checkout.parent / "elsewhere") != before


def test_a_changed_file_is_told(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    (checkout / "new.txt").write_text("not tracked")
    assert commit_of(checkout / "recipes", checkout / "results") == commit
    (checkout / "recipes" / "r.yaml").write_text("name: s\n")
    assert commit_of(checkout / "recipes", checkout / "results") == f"{commit}-changed"


def test_a_folder_outside_any_checkout_has_none(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commit_of(tmp_path, tmp_path / "results") == "none"
    monkeypatch.setenv("PATH", str(tmp_path))  # no git
    assert commit_of(checkout, checkout / "results") == "none"
