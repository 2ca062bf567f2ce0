"""Format of a bundle's folder: its files, the content of bundle.json, and the checks before a file is read."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from tmkd.bundle.check_sequences import INT8_LIMITS, CheckSequences
from tmkd.data.labels import LabelSet
from tmkd.data.text import TOKENIZER, TextSettings
from tmkd.errors import TmkdError, first_line
from tmkd.store import MANIFEST, digest_bytes, json_bytes, sealed, write_atomic

VERSION = 3
READABLE = (2, VERSION)  # a bundle of version 2 has other names of constants and no check sequences
BUNDLE = "bundle.json"
REPORT = "parity.json"
Precision = Literal["fp32", "int8"]
Engine = Literal["kernel", "onnxruntime"]
Width = Literal[1, 2]  # bytes of an input of an int8 product
GRAPHS: dict[Precision, str] = {"fp32": "model.onnx", "int8": "model.int8.onnx"}

# Most bytes of a file, by its name, and of any other: that of ONNX itself.
_MOST_BYTES = {BUNDLE: 1 << 20, MANIFEST: 1 << 20, TOKENIZER: 1 << 26}
_MOST_BYTES_OF_GRAPH = 1 << 31


class Int8Engine(NamedTuple):
    """An engine that computes int8 graphs, at one of its widths."""

    engine: Engine
    width: Width

    def __str__(self) -> str:
        return f"{self.engine}, {self.width} byte{'s' * (self.width - 1)}"


def engine_words(precision: Precision, engine: Engine, width: Width | None) -> str:
    """Precision, engine and width in words, such as `int8, kernel, 2 bytes` or `fp32, onnxruntime`."""
    return f"{precision}, {engine if width is None else Int8Engine(engine, width)}"


KERNEL_1, KERNEL_2 = Int8Engine("kernel", 1), Int8Engine("kernel", 2)
ONNXRUNTIME = Int8Engine("onnxruntime", 1)
INT8_ENGINES = KERNEL_1, KERNEL_2, ONNXRUNTIME
# By their names in bundle.json; those without a width are of bundles made when the kernel had two bytes alone.
_ENGINE_NAMES = {str(one): one for one in INT8_ENGINES} | {"kernel": KERNEL_2, "onnxruntime": ONNXRUNTIME}


@dataclass(frozen=True, slots=True)
class Bundle:
    """Content of bundle.json: classes, settings of the tokenizer, names of the headers, precisions of the graphs.

    `engines` may serve the int8 graph without being asked for: they kept its limits, or the export was forced. `check`
    is what each engine is compared with when the bundle is opened; None under version 2.
    """

    labels: LabelSet
    text: TextSettings
    headers: tuple[str, ...]
    precisions: tuple[Precision, ...]
    engines: tuple[Int8Engine, ...] = ()
    check: CheckSequences | None = None

    def write(self, folder: Path) -> None:
        """Write bundle.json."""
        content: dict[str, Any] = {
            "version": 2 if self.check is None else VERSION,
            "task": self.labels.task,
            "labels": list(self.labels.names),
            "positive": self.labels.positive,
            "text": asdict(self.text),
            "headers": list(self.headers),
            "precisions": list(self.precisions),
            "int8_engines": [*map(str, self.engines)],
        }
        if self.check is not None:
            content["check"] = asdict(self.check)
        write_atomic(folder / BUNDLE, json_bytes(content))


def read_bundle(folder: Path) -> Bundle:
    """Read bundle.json of a bundle's folder.

    Raises: TmkdError when the folder is no bundle, one of another version, or damaged.
    """
    path = folder / BUNDLE
    if not path.is_file():
        raise TmkdError(f"{folder}: not a bundle (no {BUNDLE}); make one with: tmkd export RECIPE")
    try:
        content = json.loads(read_file(folder, BUNDLE))
        version = content["version"]
        if version in READABLE:
            return _bundle(content)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TmkdError(f"{path}: damaged ({first_line(error)}); export the bundle again") from None
    raise TmkdError(f"{path}: version {version}, this tmkd reads version {VERSION}; export the bundle again")


def _bundle(content: Mapping[str, Any]) -> Bundle:
    """Bundle of bundle.json's content.  Raises: KeyError, TypeError or ValueError for a value of another kind."""
    labels = LabelSet(_text(content["task"]), _texts(content["labels"]), _text(content["positive"]))
    text = TextSettings(**content["text"])
    numbers = (text.max_length, text.pad_id, text.separator_id or 0)
    if any(type(number) is not int or number < 0 for number in numbers) or type(text.type_ids) is not bool:
        raise ValueError(f"text settings {content['text']}")
    precisions, engines = _texts(content["precisions"]), _texts(content.get("int8_engines", []))
    if "fp32" not in precisions or not {*precisions} <= {*GRAPHS} or not {*engines} <= {*_ENGINE_NAMES}:
        raise ValueError(f"precisions {precisions}, engines {engines}")
    return Bundle(
        labels=labels,
        text=text,
        headers=_texts(content["headers"]),
        precisions=tuple(precision for precision in GRAPHS if precision in precisions),
        engines=tuple(_ENGINE_NAMES[name] for name in engines),
        check=None if content["version"] == 2 else _check_sequences(content["check"], text, len(labels.names)),
    )


def _check_sequences(content: Mapping[str, Any], text: TextSettings, classes: int) -> CheckSequences:
    check = CheckSequences(
        ids=tuple(tuple(map(operator.index, one)) for one in content["ids"]),
        types=tuple(tuple(map(operator.index, one)) for one in content["types"]),
        log_odds=tuple(tuple(map(float, one)) for one in content["log_odds"]),
        int8_limit=float(content["int8_limit"]),
    )
    lengths = [len(one) for one in check.ids]
    sized = [len(one) for one in check.types] == lengths and [len(one) for one in check.log_odds] == [classes] * 4
    odds = np.array(check.log_odds)
    numbers = [number for one in (*check.ids, *check.types) for number in one]
    sized = sized and min(numbers) >= 0 and max(numbers) < 1 << 31
    if not sized or min(lengths) < 1 or max(lengths) > max(text.max_length, 2) or not np.isfinite(odds).all():
        raise ValueError("check: not four sequences with their log-odds")
    if not 0 < check.int8_limit <= INT8_LIMITS[1]:
        raise ValueError(f"check: a limit of {check.int8_limit}")
    return check


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__}, not a text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__}, not a list")
    return tuple(map(_text, value))


def read_file(folder: Path, name: str) -> bytes:
    """Read a bundle's file, whose digest is compared with the manifest's before anything reads its content.

    Raises: TmkdError when the file is missing, larger than such a file can be, or differs.
    """
    path = folder / name
    try:
        _check_size(folder / MANIFEST)
        expected = sealed(folder).files.get(name)
        if not path.is_file():
            raise TmkdError(f"{path}: missing; export the bundle again")
        _check_size(path)
        data = path.read_bytes()
    except (OSError, AttributeError, RecursionError) as error:  # the manifest's values are of any kind
        raise TmkdError(f"{path}: cannot be read ({first_line(error)}); export the bundle again") from None
    if digest_bytes(data) != expected:
        raise TmkdError(f"{path}: its bytes differ from {MANIFEST}; export the bundle again")
    return data


def _check_size(path: Path) -> None:
    most = _MOST_BYTES.get(path.name, _MOST_BYTES_OF_GRAPH)
    if path.is_file() and path.stat().st_size > most:
        raise TmkdError(f"{path}: more than {most:,} bytes, too large for its kind; export the bundle again")
