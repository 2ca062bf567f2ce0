"""The bundle's folder: which files it has, what bundle.json says, and how it is opened without trusting it."""

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
ENGINES: tuple[Engine, ...] = ("kernel", "onnxruntime")  # the faster first
GRAPHS: dict[Precision, str] = {"fp32": "model.onnx", "int8": "model.int8.onnx"}


@dataclass(frozen=True, slots=True)
class Bundle:
    """What bundle.json says: the classes and how a pair becomes token ids; `precisions` are the graphs there are.

    `engines` are those that serve the int8 graph unasked, the faster first: they kept its limits, or were forced.
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
    """Open a bundle's folder.

    Raises: TmkdError when it is none, of another version, or damaged.
    """
    path = folder / BUNDLE
    if not path.is_file():
        raise TmkdError(f"{folder}: not a bundle (no {BUNDLE}); make one with: tmkd export RECIPE")
    try:
        told: dict[str, Any] = json.loads(path.read_bytes())
        version = told["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise TmkdError(f"{path}: damaged ({error}); export the bundle again") from None
    if version != VERSION:
        raise TmkdError(f"{path}: version {version}, this tmkd reads version {VERSION}; export the bundle again")
    check_file(folder, BUNDLE)
    try:
        return Bundle(
            labels=LabelSet(str(told["task"]), tuple(told["labels"]), str(told["positive"])),
            text=TextSettings(**told["text"]),
            headers=tuple(told["headers"]),
            precisions=tuple(precision for precision in GRAPHS if precision in told["precisions"]),
            engines=tuple(engine for engine in ENGINES if engine in told.get("int8_engines", ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise TmkdError(f"{path}: damaged ({error}); export the bundle again") from None


def check_file(folder: Path, name: str) -> Path:
    """A bundle's file, its bytes compared with the manifest's before anything reads them.

    Raises: TmkdError when it is missing or differs.
    """
    path, expected = folder / name, sealed(folder).files.get(name)
    if not path.is_file():
        raise TmkdError(f"{path}: missing; export the bundle again")
    if digest_file(path) != expected:
        raise TmkdError(f"{path}: its bytes differ from {MANIFEST}; export the bundle again")
    return path


def tokenizer_file(folder: Path) -> Path:
    """The checked tokenizer.json."""
    return check_file(folder, TOKENIZER)


REPORT = "parity.json"
