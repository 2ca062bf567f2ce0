from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmkd.errors import TmkdError
from tmkd.store import (
    MANIFEST,
    Manifest,
    State,
    by_number,
    count_of,
    digest_bytes,
    digest_file,
    digest_json,
    json_bytes,
    read_manifest,
    state,
    verify,
    write_atomic,
    write_manifest,
)

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=10,
)


def artifact(folder: Path, **given_: Any) -> Manifest:
    """Seal a folder of two files."""
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("abc")
    (folder / "deep" / "b.txt").write_text("b")
    made = {"inputs": {"in": "1"}, "settings": {"fit": {"epochs": 3}, "names": ["x"]}, "facts": {}, "seconds": 1.23}
    return write_manifest(folder, **{"step": "teach/t1", **made, **given_})


def test_a_json_file_is_indented_utf_8_with_a_last_line_feed() -> None:
    assert json_bytes({"b": ["é", None], "a": 0.5}) == '{\n "b": [\n  "é",\n  null\n ],\n "a": 0.5\n}\n'.encode()


def test_digests_are_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert digest_bytes(b"abc") == digest_file(tmp_path / "abc") == ABC


def test_json_is_digested_without_spaces_sorted_and_in_utf8() -> None:
    assert digest_json({"b": [1, None], "a": "é"}) == digest_bytes('{"a":"é","b":[1,null]}'.encode())


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    assert digest_json(value) == digest_json(dict(reversed(value.items())))
    assert digest_json(value) == digest_json(json.loads(json.dumps(value)))


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", b"old")
    write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_two_processes_that_write_a_file_at_once_do_so_one_after_the_other(tmp_path: Path) -> None:
    with (tmp_path / ".file.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(b"half")
        other.flush()
        ours = threading.Thread(target=write_atomic, args=(tmp_path / "file", b"ours"))
        ours.start()
        ours.join(0.2)
        other.write(b" and half")
        other.flush()
        assert (tmp_path / ".file.part").read_bytes() == b"half and half"
        (tmp_path / ".file.part").replace(tmp_path / "file")
    ours.join()
    assert (tmp_path / "file").read_bytes() == b"ours"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_are_in_the_order_of_numbers_of_five_digits_or_more() -> None:
    paths = [Path(f"shard-{number:05d}.parquet") for number in (9, 99_999, 100_000, 100_001)]
    assert by_number(reversed(paths)) == paths


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_atomic(tmp_path / "file", b"old")
    monkeypatch.setattr(os, broken, full)
    with pytest.raises(TmkdError, match="file: cannot be written: No space left on device"):
        write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_manifest_lists_the_files_but_neither_itself_nor_scratch(tmp_path: Path) -> None:
    (tmp_path / ".work").mkdir()
    (tmp_path / ".work" / "checkpoint").write_text("torn")
    (tmp_path / ".key").write_text("key")
    artifact(tmp_path)
    manifest = artifact(tmp_path / "sub") and read_manifest(tmp_path)
    assert manifest is not None
    assert manifest.files == {"a.txt": ABC, "deep/b.txt": digest_bytes(b"b")}
    assert manifest.seconds == 1.2


def test_all_files_may_be_read_by_whom_a_new_file_may_be_read(tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    usual = stat.S_IMODE((tmp_path / "new").stat().st_mode)
    (tmp_path / "made" / ".words").mkdir(parents=True)
    kept = [tmp_path / "made" / name for name in ("weights", ".words/meta.json", "program")]
    for path, mode in zip(kept, (0o600, 0o600, 0o755), strict=True):
        path.touch()
        path.chmod(mode)
    artifact(tmp_path / "made")
    assert [stat.S_IMODE(path.stat().st_mode) for path in kept] == [usual, usual, 0o755 | usual]
    assert not list(tmp_path.rglob(".new"))


def test_the_digest_is_of_content_and_makers_not_of_time(tmp_path: Path) -> None:
    one = artifact(tmp_path / "1").digest
    assert artifact(tmp_path / "2", seconds=99.0, facts={"pairs": 3}).digest == one
    assert artifact(tmp_path / "3", inputs={"in": "2"}).digest != one
    assert artifact(tmp_path / "4", settings={}).digest != one
    assert artifact(tmp_path / "5", step="teach/t2").digest != one


def test_no_manifest_is_missing(tmp_path: Path) -> None:
    assert read_manifest(tmp_path / "nowhere") is None
    assert state(tmp_path, "teach/t1", {}, {}) == State("missing")


@pytest.mark.parametrize(
    ("step", "inputs", "settings", "why"),
    [
        ("score/t1", {"in": "1"}, {"fit": {"epochs": 3}, "names": ["x"]}, "made by step teach/t1"),
        ("teach/t1", {"in": "2"}, {"fit": {"epochs": 3}, "names": ["x"]}, "input changed: in"),
        ("teach/t1", {"in": "1", "b": "1", "a": "1"}, {}, "input changed: a, b"),
        ("teach/t1", {}, {"fit": {"epochs": 3}, "names": ["x"]}, "input changed: in"),
        ("teach/t1", {"in": "1"}, {"fit": {"epochs": 4}, "names": ["y"]}, "recipe changed: fit.epochs, names"),
        ("teach/t1", {"in": "1"}, {"fit": {"epochs": 3, "clip": 1.0}}, "recipe changed: fit.clip, names"),
    ],
)
def test_a_stale_artifact_has_a_reason(
    tmp_path: Path, step: str, inputs: dict[str, str], settings: dict[str, Any], why: str
) -> None:
    artifact(tmp_path)
    found = state(tmp_path, step, inputs, settings)
    assert (found.kind, found.why) == ("stale", why)


def test_done_when_all_match_tuples_being_lists(tmp_path: Path) -> None:
    artifact(tmp_path)
    found = state(tmp_path, "teach/t1", {"in": "1"}, {"names": ("x",), "fit": {"epochs": 3}})
    assert found == State("done", seconds=1.2)


def test_a_flipped_byte_is_named(tmp_path: Path) -> None:
    manifest = artifact(tmp_path)
    assert verify(tmp_path) == manifest
    (tmp_path / "deep" / "b.txt").write_text("c")
    with pytest.raises(TmkdError, match=r"deep/b\.txt: its bytes differ from manifest\.json; remove .* and run again"):
        verify(tmp_path)


def test_a_lost_file_is_named(tmp_path: Path) -> None:
    artifact(tmp_path)
    (tmp_path / "a.txt").unlink()
    with pytest.raises(TmkdError, match=r"a\.txt: missing, though manifest\.json lists it"):
        verify(tmp_path)


def test_an_unfinished_artifact_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"not finished \(no manifest\.json\); run the step that makes it again"):
        verify(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"step": "x', b"\xff\xfe", b'{"step": "x", "colour": 1}'])
def test_a_torn_manifest_is_named_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(TmkdError, match=r"manifest\.json: not a manifest .*; remove .* and run again"):
        state(tmp_path, "teach/t1", {}, {})


@pytest.mark.parametrize(("key", "value"), [
    ("step", 3), ("inputs", []), ("settings", True), ("files", {"a": 1}), ("facts", "none"), ("versions", None),
    ("seconds", "1"), ("seconds", True), ("seconds", -1), ("seconds", float("nan")), ("seconds", float("inf")),
])  # fmt: skip
def test_a_manifest_with_a_field_of_another_kind_is_refused(tmp_path: Path, key: str, value: object) -> None:
    write_manifest(tmp_path, "step", {}, {}, {}, 1.5)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(TmkdError, match=r"manifest\.json: not a manifest .*; remove .* and run again"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("value", [None, "3", -1, 1.5, []])
def test_a_fact_that_is_no_count_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(TmkdError, match=f"{MANIFEST}: 'missing' is no count; remove {tmp_path}"):
        count_of(tmp_path, Manifest("score", {}, {}, {}, {"missing": value}), "missing")


def test_a_count_is_read_and_0_where_it_is_not_told(tmp_path: Path) -> None:
    manifest = Manifest("score", {}, {}, {}, {"pairs": 7})
    assert (count_of(tmp_path, manifest, "pairs"), count_of(tmp_path, manifest, "missing")) == (7, 0)
