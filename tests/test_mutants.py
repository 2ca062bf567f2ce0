"""The project's own mutation testing: what is changed, in which order, and what is kept of it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml

import mutants
from mutants import ROOT, TABLE, mapped_tests, try_mutants
from mutations import mutants as mutants_of

SOURCE = '''"""A module."""

Kind = Literal["qa", "nli"]


def among(first: int, last: int, near: bool = True) -> list[int]:
    """Numbers."""
    if first > 1 and not near:
        raise ValueError("dev")
    return sorted([first, last], reverse=len("test") < 3)


PAIRS = zip(A, B, strict=True)
'''


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("comparison", ["if first >= 1 and not near:", "if first <= 1 and not near:"]),
        ("and / or", ["if ((first > 1) or (not near)):"]),
        ("sign or not dropped", ["if first > 1 and near:"]),
        ("keyword dropped", ["return sorted([first, last])"]),
        ("element dropped", ['return sorted([last], reverse=len("test") < 3)', "return sorted([first], reverse="]),
        ("statement dropped", ["pass"]),
        ("constant", ["def among(first: int, last: int, near: bool = False)", "if first > 2 and", "if first > 0 and"]),
        ("word", ["if last > 1 and not near:", "return sorted([last, last]", "return sorted([first, first]"]),
    ],
)
def test_one_thing_is_changed_at_a_time(what: str, found: list[str]) -> None:
    of_kind = [mutant for mutant in mutants_of(SOURCE) if mutant.what == what]
    for text in found:
        assert any(mutant.new.startswith(text) for mutant in of_kind), [mutant.new for mutant in of_kind]
    for mutant in of_kind:
        compile(mutant.source, "mutant", "exec")
        changed = [(a, b) for a, b in zip(SOURCE.splitlines(), mutant.source.splitlines(), strict=True) if a != b]
        assert [(mutant.old, mutant.new)] == [(a.strip(), b.strip()) for a, b in changed]
        assert SOURCE.splitlines()[mutant.line - 1].strip() == mutant.old


def test_types_docstrings_and_messages_stay() -> None:
    assert {mutant.line for mutant in mutants_of(SOURCE)} == {6, 8, 9, 10, 13}
    assert [mutant.new for mutant in mutants_of(SOURCE) if mutant.line == 13] == ["PAIRS = zip(B, A, strict=True)"]
    assert [mutant.new for mutant in mutants_of(SOURCE) if mutant.line == 9] == ["pass"]


def test_a_mutants_name_is_unique_and_survives_changes_of_other_lines() -> None:
    names = [mutant.name for mutant in mutants_of(SOURCE + "\n\nOTHER = 1\n")]
    assert len({*names}) == len(names)
    assert {mutant.name for mutant in mutants_of(SOURCE)} < {*names}


HALF = "def half(x: int) -> int:\n    return x // 2\n"
HALF_TEST = "from tmkd.half import half\n\n\ndef test_half():\n    assert half({}) == 3\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one module with a test that sees half of it."""
    for folder in ("src/tmkd", "tests"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "src/tmkd/half.py").write_text(HALF)
    (tmp_path / "src/tmkd/__init__.py").touch()
    (tmp_path / "tests/test_half.py").write_text(
        "from tmkd.half import half\n\n\ndef test_half():\n    assert half(6) == 3\n"
    )
    return tmp_path


def outcome(project: Path, seconds: float = 60) -> dict[str, str]:
    until, kept = time.monotonic() + seconds, project / "kept.jsonl"
    tests = mapped_tests("half", {}, project)
    return {mutant.new: verdict for mutant, verdict in try_mutants("half", tests, None, 1, until, project, kept)}


@pytest.mark.slow
def test_what_no_test_sees_survives_and_is_tried_again_when_its_tests_change(project: Path) -> None:
    expected = {
        "return x / 2": "survived",  # 6 / 2 == 3
        "return x // 3": "killed",
        "return x // 1": "killed",
    }
    assert outcome(project) == expected
    assert (project / "src/tmkd/half.py").read_text() == HALF
    lines = (project / "kept.jsonl").read_text().splitlines()
    assert outcome(project, seconds=-1) == expected  # all from the file
    (project / "tests/test_half.py").write_text(
        "from tmkd.half import half\n\n\ndef test_half():\n    assert half(7) == 3\n"
    )
    assert outcome(project)["return x / 2"] == "killed"
    more = (project / "kept.jsonl").read_text().splitlines()
    assert more[: len(lines)] == lines
    assert {json.loads(line)["mutant"] for line in more[len(lines) :]} == {
        json.loads(line)["mutant"] for line in lines if "survived" in line
    }


def test_tests_that_fail_without_a_mutant_end_it(project: Path) -> None:
    (project / "tests/test_half.py").write_text("def test_half():\n    assert False\n")
    with pytest.raises(SystemExit, match="half: its tests fail without any mutant"):
        outcome(project)


def test_the_table_names_modules_and_tests_that_are_there() -> None:
    table = yaml.safe_load(TABLE.read_text())
    for module, files in table["tests"].items():
        assert (ROOT / mutants.PACKAGE / f"{module}.py").is_file()
        assert [file for file in files if not (ROOT / "tests" / file).exists()] == []
    assert all(one["why"] for one in table["accepted"])


def test_the_lines_of_accepted_survivors_are_still_there() -> None:
    for one in yaml.safe_load(TABLE.read_text())["accepted"]:
        source = (ROOT / "src" / "tmkd" / f"{one['module']}.py").read_text(encoding="utf-8")
        assert one["old"] in " ".join(source.split()), one
