from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stores import ANSWERS, ORIGIN, write_store
from tmkd.errors import TmkdError
from tmkd.serve import lookup_writer
from tmkd.serve.lookup import LmdbAnswers
from tmkd.serve.lookup_writer import write_version
from tmkd.serve.store_version import POINTER, read_pointer


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_version_before_is_hidden_and_goes_with_the_next_but_one(tmp_path: Path) -> None:
    write_store(tmp_path)
    assert names(tmp_path) == {"current", "version-00001"}
    write_store(tmp_path)
    assert names(tmp_path) == {"current", "version-00002", ".version-00001"}
    write_store(tmp_path)
    assert names(tmp_path) == {"current", "version-00003", ".version-00002"}


def test_what_a_kill_left_behind_goes(tmp_path: Path) -> None:
    write_store(tmp_path)
    (tmp_path / ".version-00002.part").mkdir()
    (tmp_path / "version-00002").mkdir()  # complete, but the pointer had not moved yet
    write_store(tmp_path)
    assert names(tmp_path) == {"current", "version-00002", ".version-00001"}


def test_a_damaged_pointer_is_replaced(tmp_path: Path) -> None:
    write_store(tmp_path)
    (tmp_path / POINTER).write_text("?")
    write_store(tmp_path)
    assert read_pointer(tmp_path) == "version-00001"


def test_several_transactions_load_all_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_writer, "_ENTRIES_PER_COMMIT", 7)
    answers = {f"question {number}": ANSWERS["why is the sky blue"] for number in range(50)}
    write_store(tmp_path, answers)
    store = LmdbAnswers(tmp_path)
    assert len(store) == 50
    assert {store.get(question) for question in answers} == {ANSWERS["why is the sky blue"]}
    store.close()


def test_a_failed_load_is_one_line_and_leaves_the_version_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_store(tmp_path)
    monkeypatch.setattr(lookup_writer, "_LARGEST_MAP", 1 << 14)
    many = [(number.to_bytes(16, "big"), bytes(100)) for number in range(1000)]
    with pytest.raises(TmkdError, match=rf"{re.escape(str(tmp_path))}.*data.mdb: cannot be written: .*; run"):
        write_version(tmp_path, ORIGIN, many)
    store = LmdbAnswers(tmp_path)
    assert store.get("what is rain") == ()
    store.close()


def test_entries_out_of_order_are_refused(tmp_path: Path) -> None:
    for last in (bytes(16), bytes([9] * 16)):
        with pytest.raises(ValueError, match="not sorted, or a key comes twice"):
            write_version(tmp_path, ORIGIN, [(bytes([9] * 16), b""), (last, b"")])


FULL = """
import resource, sys
from pathlib import Path
from stores import ORIGIN
from tmkd.serve.lookup_writer import write_version
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
write_version(Path(sys.argv[1]), ORIGIN, ((number.to_bytes(16, "big"), bytes(40)) for number in range(100_000)))
"""


def test_a_file_that_cannot_grow_is_told_and_the_version_before_stays(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: the system refuses the write in both cases."""
    write_store(tmp_path)
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    words = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch(r"tmkd.errors.TmkdError: .*data.mdb: cannot be written: .*; run precompute again", last), last
    store = LmdbAnswers(tmp_path)
    assert store.get("what is rain") == ()
    store.close()
    write_store(tmp_path)
    assert names(tmp_path) == {"current", "version-00002", ".version-00001"}
