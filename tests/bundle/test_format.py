"""Bundles that are whole, and all the ways in which they are not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tmkd.bundle import Ranker
from tmkd.bundle.format import KERNEL_2, ONNXRUNTIME, read_bundle
from tmkd.errors import TmkdError
from tmkd.store import write_manifest


@pytest.fixture
def bundle(made: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[1], tmp_path / "bundle"))


def change(folder: Path, **values: Any) -> None:
    told = json.loads((folder / "bundle.json").read_bytes())
    (folder / "bundle.json").write_text(json.dumps(told | values))


def rewrite(folder: Path, content: bytes) -> None:
    (folder / "bundle.json").write_bytes(content)
    reseal(folder)


def reseal(folder: Path, **values: Any) -> None:
    if values:
        change(folder, **values)
    write_manifest(folder, "export", {}, {}, {}, 0.0)


def test_a_bundle_has_its_labels_headers_precisions_and_engines(bundle: Path) -> None:
    read = read_bundle(bundle)
    assert read.labels.names == ("no", "yes")
    assert read.headers == ("toy/gold", "toy/ann")
    assert read.precisions == ("fp32", "int8")
    assert read.text.max_length == 32
    assert read.engines == (ONNXRUNTIME,)
    assert json.loads((bundle / "bundle.json").read_bytes())["int8_engines"] == ["onnxruntime, 1 byte"]


def test_engines_without_a_width_are_those_of_the_first_kernel(bundle: Path) -> None:
    reseal(bundle, int8_engines=["kernel", "onnxruntime"])
    assert read_bundle(bundle).engines == (KERNEL_2, ONNXRUNTIME)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no bundle": (lambda folder: (folder / "bundle.json").unlink(), "not a bundle"),
    "another version": (lambda folder: reseal(folder, version=1), "version 1, this tmkd reads version 3"),
    "no JSON": (lambda folder: rewrite(folder, b"{"), "damaged"),
    "a list": (lambda folder: rewrite(folder, b"[]"), "damaged"),
    "nested without end": (lambda folder: rewrite(folder, b"[" * 100_000), "damaged"),
    "large": (lambda folder: rewrite(folder, b"[" + b"[]," * (1 << 19) + b"[]]"), "more than 1,048,576 bytes"),
    "changed settings": (lambda folder: change(folder, positive="no"), "bytes differ"),
    "a torn graph": (lambda folder: (folder / "model.onnx").write_bytes(b"\x08"), "model.onnx: its bytes differ"),
    "a flipped bit": (lambda folder: flip(folder / "model.onnx"), "model.onnx: its bytes differ"),
    "another tokenizer": (lambda folder: flip(folder / "tokenizer.json"), "tokenizer.json: its bytes differ"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json: missing"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "not finished"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_the_error_on_an_incomplete_bundle_names_file_and_remedy(bundle: Path, broken: str) -> None:
    harm, told = BROKEN[broken]
    harm(bundle)
    with pytest.raises(TmkdError, match=told):
        Ranker(bundle, "fp32")


def test_a_sealed_file_that_is_no_graph_is_an_error(bundle: Path) -> None:
    (bundle / "model.onnx").write_bytes(b"no graph")
    reseal(bundle)
    with pytest.raises(TmkdError, match=r"model\.onnx: not a student's graph"):
        Ranker(bundle, "fp32")


def test_a_sealed_file_that_is_no_tokenizer_is_an_error(bundle: Path) -> None:
    (bundle / "tokenizer.json").write_text("{}")
    reseal(bundle)
    with pytest.raises(TmkdError, match="not a tokenizer"):
        Ranker(bundle, "fp32")


def test_sealed_settings_of_the_wrong_kind_are_an_error(bundle: Path) -> None:
    change(bundle, text={"max_length": 32})
    reseal(bundle)
    with pytest.raises(TmkdError, match="damaged"):
        Ranker(bundle, "fp32")


@pytest.mark.parametrize("number", [-1, 1 << 31, 1 << 70])
def test_check_sequences_of_ids_that_no_network_has_are_an_error(bundle: Path, number: int) -> None:
    check = json.loads((bundle / "bundle.json").read_text())["check"]
    check["types"][0][0] = number
    change(bundle, check=check)
    reseal(bundle)
    with pytest.raises(TmkdError, match="damaged"):
        Ranker(bundle, "fp32")
