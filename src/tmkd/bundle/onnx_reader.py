"""The constants of an ONNX file, read without the onnx package: all that the kernel needs of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Constants = dict[str, np.ndarray]

# Field numbers of onnx.proto (ModelProto, GraphProto, TensorProto, StringStringEntryProto) and its types of numbers.
_GRAPH, _SETTINGS, _CONSTANTS = 7, 14, 5
_SHAPE, _TYPE, _NAME, _NUMBERS = 1, 2, 8, 9
_KEY, _VALUE = 1, 2
_TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64}

_Field = tuple[int, int, memoryview]  # its number, its value if it is one number, else its bytes


def read_constants(model: bytes) -> tuple[Constants, dict[str, str]]:
    """An ONNX model's constants by their names, views into its bytes, and its settings (metadata_props).

    Raises: ValueError when the bytes are no such model.
    """
    constants: Constants = {}
    settings: dict[str, str] = {}
    for number, _, piece in _fields(memoryview(model)):
        if number == _GRAPH:
            constants |= dict(_tensor(found) for inner, _, found in _fields(piece) if inner == _CONSTANTS)
        elif number == _SETTINGS:
            entry = {inner: bytes(found).decode() for inner, _, found in _fields(piece)}
            settings[entry.get(_KEY, "")] = entry.get(_VALUE, "")
    return constants, settings


def _tensor(piece: memoryview) -> tuple[str, np.ndarray]:
    shape: list[int] = []
    kind, name, numbers = 0, "", memoryview(b"")
    for number, value, found in _fields(piece):
        if number == _SHAPE:
            shape += _varints(found) if len(found) else [value]
        elif number == _TYPE:
            kind = value
        elif number == _NAME:
            name = bytes(found).decode()
        elif number == _NUMBERS:
            numbers = found
    if kind not in _TYPES:
        raise ValueError(f"constant {name!r} has numbers of kind {kind}")
    return name, np.frombuffer(numbers, dtype=_TYPES[kind]).reshape(shape)


def _fields(piece: memoryview) -> Iterator[_Field]:
    """The fields of one protobuf message, one after the other."""
    at = 0
    while at < len(piece):
        key, at = _varint(piece, at)
        value, length = 0, {1: 8, 5: 4}.get(key & 7, 0)
        if key & 7 == 0:
            value, at = _varint(piece, at)
        elif key & 7 == 2:
            length, at = _varint(piece, at)
        elif not length:
            raise ValueError(f"no protobuf: a field of kind {key & 7}")
        if length > len(piece) - at:
            raise ValueError("cut short")
        yield key >> 3, value, piece[at : at + length]
        at += length


def _varints(piece: memoryview) -> list[int]:
    found, at = [], 0
    while at < len(piece):
        value, at = _varint(piece, at)
        found.append(value)
    return found


def _varint(piece: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where the next thing begins."""
    value = 0
    for shift in range(0, 63, 7):
        if at >= len(piece):
            break
        value |= (piece[at] & 0x7F) << shift
        at += 1
        if piece[at - 1] < 0x80:
            return value, at
    raise ValueError("cut short")
