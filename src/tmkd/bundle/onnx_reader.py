"""Reader of the ONNX files that tmkd writes, without the onnx package: constants, nodes, metadata.

It is strict: a field that tmkd never writes (a function, a subgraph, data in another file, …) is refused.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np

from tmkd.bundle.graph import Attribute, Constants, Node

# Fields of onnx.proto's messages that are read. MODEL is ModelProto, and so on.
_MODEL = {1: "ir_version", 2: "producer_name", 7: "graph", 8: "opset_import", 14: "metadata_props"}
_GRAPH = {1: "node", 2: "name", 5: "initializer", 11: "input", 12: "output"}
_TENSOR = {1: "dims", 2: "data_type", 8: "name", 9: "raw_data"}
_NODE = {1: "input", 2: "output", 4: "op_type", 5: "attribute"}
_ATTRIBUTE = {1: "name", 2: "f", 3: "i", 4: "s", 8: "ints", 20: "type"}
_OPSET = {1: "domain", 2: "version"}
_ENTRY = {1: "key", 2: "value"}
_VALUE_INFO, _TYPE, _TENSOR_TYPE = {1: "name", 2: "type"}, {1: "tensor_type"}, {1: "elem_type", 2: "shape"}
_SHAPE, _DIM = {1: "dim"}, {1: "dim_value", 2: "dim_param"}

_KINDS = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64}
_OPSET_VERSION = 20
_MOST = 20_000  # fields of a message: bounds the time that a file of tiny fields takes
_AXES = 8  # of a tensor, and numbers of an attribute
# Names of constants in files of bundle version 2, and those since.
_RENAMED = {".steps": ".codes", ".loud.": ".outliers."}

_Value = TypeVar("_Value")
Info = tuple[str, int, tuple[int | str, ...]]  # name, data type, axes: sizes or names


class OnnxGraph(NamedTuple):
    """Content of an ONNX file; constants are views of its bytes."""

    constants: Constants
    nodes: list[Node]
    settings: dict[str, str]
    inputs: list[Info]
    outputs: list[Info]


class _Message(NamedTuple):
    """Fields of a protobuf message by name: numbers of varints, bytes of all else."""

    numbers: dict[str, list[int]]
    pieces: dict[str, list[memoryview]]

    def number(self, name: str) -> int:
        """The one number of a field, 0 without it."""
        return _only(self.numbers.get(name, [0]))

    def text(self, name: str) -> str:
        """The one text of a field, empty without it."""
        return bytes(_only(self.pieces.get(name, [memoryview(b"")]))).decode()

    def texts(self, name: str) -> tuple[str, ...]:
        """All texts of a field."""
        return tuple(bytes(piece).decode() for piece in self.pieces.get(name, []))

    def message(self, name: str, fields: dict[int, str]) -> _Message:
        """The one message of a field."""
        return _message(_only(self.pieces.get(name, [])), fields)

    def messages(self, name: str, fields: dict[int, str]) -> Iterator[_Message]:
        """All messages of a field."""
        return (_message(piece, fields) for piece in self.pieces.get(name, []))


def read_graph(model: bytes) -> OnnxGraph:
    """Read an ONNX file.  Raises: ValueError when the bytes are no model that tmkd can have written."""
    outer = _message(memoryview(model), _MODEL)
    opsets = [(opset.text("domain"), opset.number("version")) for opset in outer.messages("opset_import", _OPSET)]
    if opsets != [("", _OPSET_VERSION)]:
        raise ValueError(f"its operators are {opsets}, not version {_OPSET_VERSION} of ONNX's own")
    entries = [(entry.text("key"), entry.text("value")) for entry in outer.messages("metadata_props", _ENTRY)]
    graph = outer.message("graph", _GRAPH)
    return OnnxGraph(
        constants=_once([_tensor(tensor) for tensor in graph.messages("initializer", _TENSOR)]),
        nodes=[_node(node) for node in graph.messages("node", _NODE)],
        settings=_once(entries),
        inputs=[_info(info) for info in graph.messages("input", _VALUE_INFO)],
        outputs=[_info(info) for info in graph.messages("output", _VALUE_INFO)],
    )


def read_constants(model: bytes) -> tuple[Constants, dict[str, str]]:
    """Read the constants of an ONNX file and its metadata.  Raises: ValueError as `read_graph`."""
    graph = read_graph(model)
    return graph.constants, graph.settings


def _tensor(tensor: _Message) -> tuple[str, np.ndarray]:
    name, kind, shape = tensor.text("name"), tensor.number("data_type"), tensor.numbers.get("dims", [])
    if kind not in _KINDS:
        raise ValueError(f"constant {name!r} has the unknown data type {kind}")
    if tensor.pieces.get("dims"):
        shape = [size for piece in tensor.pieces["dims"] for size in _varints(piece)]
    data = _only(tensor.pieces.get("raw_data", [memoryview(b"")]))
    size = np.dtype(_KINDS[kind]).itemsize
    if len(shape) > _AXES or min(shape, default=0) < 0 or math.prod(shape) * size != len(data):
        raise ValueError(f"constant {name!r} has {len(data)} bytes for the shape {shape[:_AXES]}")
    return _new_name(name), np.frombuffer(data, dtype=_KINDS[kind]).reshape(shape)


def _new_name(name: str) -> str:
    if name == "turn":
        return "hadamard"
    for old, new in _RENAMED.items():
        if name.endswith(old) or (old.endswith(".") and old in name):
            name = name.replace(old, new)
    return name


def _node(node: _Message) -> Node:
    attributes = [_attribute(attribute) for attribute in node.messages("attribute", _ATTRIBUTE)]
    (output,) = node.texts("output")
    return Node(node.text("op_type"), tuple(map(_new_name, node.texts("input"))), output, _once(attributes))


def _attribute(attribute: _Message) -> tuple[str, Attribute]:
    kinds: dict[int, Callable[[], Attribute]] = {
        1: lambda: float(struct.unpack("<f", _only(attribute.pieces["f"]))[0]),
        2: lambda: attribute.number("i"),
        3: lambda: attribute.text("s"),
        7: lambda: tuple(
            attribute.numbers.get("ints", [])
            or [number for piece in attribute.pieces.get("ints", []) for number in _varints(piece)]
        ),
    }
    kind = attribute.number("type")
    if kind not in kinds or ("f" in attribute.pieces) != (kind == 1):
        raise ValueError(f"an attribute of kind {kind}")
    return attribute.text("name"), kinds[kind]()


def _info(info: _Message) -> Info:
    tensor = info.message("type", _TYPE).message("tensor_type", _TENSOR_TYPE)
    axes = tensor.message("shape", _SHAPE).messages("dim", _DIM)
    sizes = tuple(axis.text("dim_param") or axis.number("dim_value") for axis in axes)
    return info.text("name"), tensor.number("elem_type"), sizes


def _message(piece: memoryview, fields: dict[int, str]) -> _Message:
    message = _Message({}, {})
    for count, (number, value, found) in enumerate(_fields(piece)):
        if number not in fields or count >= _MOST:
            raise ValueError(f"an ONNX file with more than tmkd writes (field {number})")
        if found is None:
            message.numbers.setdefault(fields[number], []).append(value)
        else:
            message.pieces.setdefault(fields[number], []).append(found)
    return message


def _once(entries: list[tuple[str, _Value]]) -> dict[str, _Value]:
    found = dict(entries)
    if len(found) != len(entries):
        raise ValueError("a name stands twice")
    return found


def _only(found: list[_Value]) -> _Value:
    if len(found) != 1:
        raise ValueError(f"a field stands {len(found)} times, not once")
    return found[0]


def _fields(piece: memoryview) -> Iterator[tuple[int, int, memoryview | None]]:
    """Fields of a protobuf message, in order: number, value of a varint, bytes of any other kind."""
    at = 0
    while at < len(piece):
        key, at = _varint(piece, at)
        if key & 7 == 0:
            value, at = _varint(piece, at)
            yield key >> 3, value, None
            continue
        length = {1: 8, 5: 4}.get(key & 7, 0)
        if key & 7 == 2:
            length, at = _varint(piece, at)
        elif not length:
            raise ValueError(f"no protobuf: a field of wire type {key & 7}")
        if not 0 <= length <= len(piece) - at:
            raise ValueError("cut short")
        yield key >> 3, 0, piece[at : at + length]
        at += length


def _varints(piece: memoryview) -> Iterator[int]:
    if len(piece) > 10 * _AXES:
        raise ValueError(f"more than {_AXES} numbers")
    at = 0
    while at < len(piece):
        value, at = _varint(piece, at)
        yield value


def _varint(piece: memoryview, at: int) -> tuple[int, int]:
    """Value of a varint (seven bits a byte, int64) and the offset after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(piece):
            break
        value |= (piece[at] & 0x7F) << shift
        at += 1
        if piece[at - 1] < 0x80:
            value &= (1 << 64) - 1
            return value - (value >> 63 << 64), at
    raise ValueError("cut short")
