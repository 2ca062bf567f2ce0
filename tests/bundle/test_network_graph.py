"""Check of a file against the graph of a student: what differs is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from tmkd.bundle.network_graph import check_graph, network_graph
from tmkd.bundle.onnx_reader import read_graph

Spoil = Callable[[onnx.ModelProto], object]


@pytest.mark.parametrize("name", ["model.onnx", "model.int8.onnx"])
def test_an_exported_graph_passes_and_gives_its_classes(
    made: tuple[Path, Path], made_of_three: tuple[Path, Path], name: str
) -> None:
    assert [check_graph(read_graph((one[1] / name).read_bytes())).classes for one in (made, made_of_three)] == [2, 3]


def swapped(model: onnx.ModelProto) -> None:
    node = next(node for node in model.graph.node if node.op_type == "Softmax")
    node.op_type = "LogSoftmax"


def doubled(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(3, np.float32), "more"))


def renamed_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "ids"


def open_classes(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "classes"


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (swapped, "its nodes are not a student's"),
        (doubled, "constant more is not a student's"),
        (renamed_input, "its inputs and outputs are not a student's"),
        (open_classes, "its number of classes is not fixed"),
    ],
)
def test_a_graph_that_differs_from_a_students_is_refused(made: tuple[Path, Path], spoil: Spoil, fault: str) -> None:
    model = onnx.load(str(made[1] / "model.onnx"))
    spoil(model)
    with pytest.raises(ValueError, match=fault):
        check_graph(read_graph(model.SerializeToString()))


@pytest.mark.parametrize(("headers", "classes"), [("5", 2), ("2", 3), ("2", 1)])
def test_headers_that_do_not_give_the_classes_are_refused(made: tuple[Path, Path], headers: str, classes: int) -> None:
    given = read_graph((made[1] / "model.onnx").read_bytes())
    named = {name: one for name, one in given.constants.items() if not name[1:].isdecimal()}
    assert network_graph(named, given.settings, 2).nodes[-1].output == "logits"
    with pytest.raises(ValueError, match="headers of 4 outputs do not give"):
        network_graph(named, given.settings | {"headers": headers}, classes)
