"""Reader of an ONNX file's constants and metadata, all that the kernel needs of it, without the onnx package."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Constants = dict[str, np.ndarray]

# Field numbers and data types of onnx.proto (ModelProto, GraphProto, TensorProto, StringStringEntryProto).
_GRAPH, _METADATA, _INITIALIZER = 7, 14, 5
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9
_KEY, _VALUE = 1, 2
_TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64}

_Field = tuple[int, int, memoryview]  # field number; value of a varint, else 0; bytes of any other kind


def read_constants(model: bytes) -> tuple[Constants, dict[str, str]]:
    """Read an ONNX model: its constants (initializers) by name, as views of its bytes, and its metadata_props.

    Raises: ValueError when the bytes are no such model.
    """
    constants: Constants = {}
    settings: dict[str, str] = {}
    for number, _, piece in _fields(memoryview(model)):
        if number == _GRAPH:
            constants |= dict(_tensor(found) for inner, _, found in _fields(piece) if inner == _INITIALIZER)
        elif number == _METADATA:
            entry = {inner: bytes(found).decode() for inner, _, found in _fields(piece)}
            settings[entry.get(_KEY, "")] = entry.get(_VALUE, "")
    return constants, settings


def _tensor(piece: memoryview) -> tuple[str, np.ndarray]:
    shape: list[int] = []
    kind, name, numbers = 0, "", memoryview(b"")
    for number, value, found in _fields(piece):
        if number == _DIMS:
            shape += _varints(found) if len(found) else [value]
        elif number == _DATA_TYPE:
            kind = value
        elif number == _NAME:
            name = bytes(found).decode()
        elif number == _RAW_DATA:
            numbers = found
    if kind not in _TYPES:
        raise ValueError(f"constant {name!r} has the unknown data type {kind}")
    return name, np.frombuffer(numbers, dtype=_TYPES[kind]).reshape(shape)


def _fields(piece: memoryview) -> Iterator[_Field]:
    """Fields of a protobuf message, in order."""
    at = 0
    while at < len(piece):
        key, at = _varint(piece, at)
        value, length = 0, {1: 8, 5: 4}.get(key & 7, 0)
        if key & 7 == 0:
            value, at = _varint(piece, at)
        elif key & 7 == 2:
            length, at = _varint(piece, at)
        elif not length:
            raise ValueError(f"no protobuf: a field of wire type {key & 7}")
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
    """Value of a varint (seven bits a byte) and the offset after it."""
    value = 0
    for shift in range(0, 63, 7):
        if at >= len(piece):
            break
        value |= (piece[at] & 0x7F) << shift
        at += 1
        if piece[at - 1] < 0x80:
            return value, at
    raise ValueError("cut short")
