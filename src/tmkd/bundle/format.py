"""Format of a bundle's folder: its files, the content of bundle.json, and the checks before a file is read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tmkd.data.labels import LabelSet
from tmkd.data.text import TOKENIZER, TextSettings
from tmkd.errors import TmkdError
from tmkd.store import MANIFEST, digest_file, json_bytes, sealed, write_atomic

VERSION = 2
BUNDLE = "bundle.json"
Precision = Literal["fp32", "int8"]
Engine = Literal["kernel", "onnxruntime"]
ENGINES: tuple[Engine, ...] = ("kernel", "onnxruntime")  # the faster one first
GRAPHS: dict[Precision, str] = {"fp32": "model.onnx", "int8": "model.int8.onnx"}


@dataclass(frozen=True, slots=True)
class Bundle:
    """Content of bundle.json: classes, settings of the tokenizer, names of the headers, precisions of the graphs.

    `engines` may serve the int8 graph without being asked for, the faster one first: they kept its limits, or the
    export was forced.
    """

    labels: LabelSet
    text: TextSettings
    headers: tuple[str, ...]
    precisions: tuple[Precision, ...]
    engines: tuple[Engine, ...] = ()

    def write(self, folder: Path) -> None:
        """Write bundle.json."""
        content = {
            "version": VERSION,
            "task": self.labels.task,
            "labels": list(self.labels.names),
            "positive": self.labels.positive,
            "text": asdict(self.text),
            "headers": list(self.headers),
            "precisions": list(self.precisions),
            "int8_engines": list(self.engines),
        }
        write_atomic(folder / BUNDLE, json_bytes(content))


def read_bundle(folder: Path) -> Bundle:
    """Read bundle.json of a bundle's folder.

    Raises: TmkdError when the folder is no bundle, one of another version, or damaged.
    """
    path = folder / BUNDLE
    if not path.is_file():
        raise TmkdError(f"{folder}: not a bundle (no {BUNDLE}); make one with: tmkd export RECIPE")
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        version = content["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise TmkdError(f"{path}: damaged ({error}); export the bundle again") from None
    if version != VERSION:
        raise TmkdError(f"{path}: version {version}, this tmkd reads version {VERSION}; export the bundle again")
    check_file(folder, BUNDLE)
    try:
        return Bundle(
            labels=LabelSet(str(content["task"]), tuple(content["labels"]), str(content["positive"])),
            text=TextSettings(**content["text"]),
            headers=tuple(content["headers"]),
            precisions=tuple(precision for precision in GRAPHS if precision in content["precisions"]),
            engines=tuple(engine for engine in ENGINES if engine in content.get("int8_engines", ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise TmkdError(f"{path}: damaged ({error}); export the bundle again") from None


def check_file(folder: Path, name: str) -> Path:
    """Path of a bundle's file, after its digest was compared with the manifest's.

    Raises: TmkdError when the file is missing or differs.
    """
    path, expected = folder / name, sealed(folder).files.get(name)
    if not path.is_file():
        raise TmkdError(f"{path}: missing; export the bundle again")
    if digest_file(path) != expected:
        raise TmkdError(f"{path}: its bytes differ from {MANIFEST}; export the bundle again")
    return path


def tokenizer_file(folder: Path) -> Path:
    """Path of tokenizer.json, checked."""
    return check_file(folder, TOKENIZER)


REPORT = "parity.json"
