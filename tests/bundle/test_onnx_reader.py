"""The constants of an ONNX file without the onnx package: what onnx wrote, and never a crash on what it did not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from tmkd.bundle.onnx_reader import read_constants

VALUES: dict[str, np.ndarray] = {
    "fp32": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
    "int8": np.arange(-4, 4, dtype=np.int8).reshape(2, 2, 2),
    "uint8": np.array([0, 255], dtype=np.uint8),
    "int32": np.array([-5], dtype=np.int32),
    "int64": np.array([2**40, -1]),
    "one number": np.array(7.5, dtype=np.float32),
    "none": np.zeros((0, 4), dtype=np.float32),
    "wide": np.zeros((1, 300), dtype=np.int8),
}


def written(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, producer_name="tests", opset_imports=[helper.make_opsetid("", 20)])


def model() -> onnx.ModelProto:
    """A model of constants and one node, for a reader has to pass over what it does not look for."""
    constants = [numpy_helper.from_array(value, name) for name, value in VALUES.items()]
    node = helper.make_node("LeakyRelu", ["fp32"], ["out"], alpha=0.1)
    output = helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, [2, 3])
    made = written(helper.make_graph([node], "graph", [], [output], constants))
    helper.set_model_props(made, {"heads": "12", "activation": "gelu", "empty": ""})
    return made


def test_every_constant_and_setting_is_found() -> None:
    constants, settings = read_constants(model().SerializeToString())
    assert settings == {"heads": "12", "activation": "gelu", "empty": ""}
    assert list(constants) == list(VALUES)
    for name, value in VALUES.items():
        np.testing.assert_array_equal(constants[name], value)
        assert constants[name].dtype == value.dtype


def test_an_unknown_kind_of_number_is_an_error() -> None:
    double = numpy_helper.from_array(np.zeros(2), "double")
    made = written(helper.make_graph([], "graph", [], [], [double]))
    with pytest.raises(ValueError, match="constant 'double' has the unknown data type 11"):
        read_constants(made.SerializeToString())


@given(st.integers(min_value=0, max_value=len(model().SerializeToString()) - 1))
def test_a_file_that_is_cut_short_gives_no_constant_that_was_not_there(end: int) -> None:
    try:
        constants, _ = read_constants(model().SerializeToString()[:end])
    except ValueError:
        return
    assert constants.keys() in (set(), VALUES.keys())


@given(st.binary(max_size=200))
def test_other_bytes_are_refused_or_empty(junk: bytes) -> None:
    try:
        constants, _ = read_constants(junk)
    except ValueError:
        return
    assert all(isinstance(value, np.ndarray) for value in constants.values())


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_one_wrong_byte_never_crashes(place: int, value: int) -> None:
    written = bytearray(model().SerializeToString())
    written[place % len(written)] = value
    try:
        constants, settings = read_constants(bytes(written))
    except ValueError:
        return
    assert len(constants) <= len(VALUES)
    assert len(settings) <= 3
