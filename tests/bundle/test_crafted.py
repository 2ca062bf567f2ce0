"""Crafted bundles, sealed with their own digests: each is refused in a line, and none crashes, hangs or grows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tiny
from tiny_bundle import checks, student_of
from tmkd.bundle import Ranker
from tmkd.bundle.kernel import Kernel
from tmkd.bundle.kernel_library import kernel_level
from tmkd.bundle.session import Session
from tmkd.errors import TmkdError
from tmkd.export.onnx import export_bundle
from tmkd.store import write_manifest

PAIRS = [(question, passage) for question, passage, _ in tiny.pairs(range(10))]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that the kernel can run: not to be changed."""
    folder = tmp_path_factory.mktemp("exported")
    student_of(folder)
    (folder / "bundle").mkdir()
    export_bundle(folder / "student", PAIRS, [checks()], folder / "bundle", force=True)
    write_manifest(folder / "bundle", "export", {}, {}, {}, 0.0)
    return folder / "bundle"


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


def reseal(folder: Path) -> None:
    write_manifest(folder, "export", {}, {}, {}, 0.0)


def constant(graph: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(one for one in graph.graph.initializer if one.name == name)


def replace(graph: onnx.ModelProto, name: str, value: np.ndarray) -> None:
    constant(graph, name).CopyFrom(numpy_helper.from_array(value, name))


def cast(graph: onnx.ModelProto, name: str, kind: type[np.generic]) -> None:
    replace(graph, name, numpy_helper.to_array(constant(graph, name)).astype(kind))


def no_neurons(graph: onnx.ModelProto) -> None:
    for layer in range(3):
        name = f"encoder.layer.{layer}"
        for part, axis in (("intermediate.dense", 1), ("output.dense", 0)):
            for found in graph.graph.initializer:
                if found.name in (f"{name}.{part}.codes", f"{name}.{part}.weight"):
                    cut = np.take(numpy_helper.to_array(found), [], axis=axis)
                    found.CopyFrom(numpy_helper.from_array(cut, found.name))
        for part in ("bias", "scales"):
            for found in graph.graph.initializer:
                if found.name == f"{name}.intermediate.dense.{part}":
                    found.CopyFrom(numpy_helper.from_array(np.zeros(0, np.float32), found.name))


def setting(graph: onnx.ModelProto, **values: str) -> None:
    for entry in graph.metadata_props:
        entry.value = values.get(entry.key, entry.value)


def narrow_query(graph: onnx.ModelProto) -> None:
    name = "encoder.layer.0.attention.self.query.codes"
    replace(graph, name, numpy_helper.to_array(constant(graph, name))[:, :32])


def nan(graph: onnx.ModelProto, name: str) -> None:
    value = numpy_helper.to_array(constant(graph, name)).copy()
    value.flat[-1] = np.nan
    replace(graph, name, value)


def loop(graph: onnx.ModelProto) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["again"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("again", TensorProto.BOOL, [])],
    )
    for name, value in (("many", np.int64(2**62)), ("true", np.bool_(True))):
        graph.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    graph.graph.node.append(helper.make_node("Loop", ["many", "true"], [], body=body))


def one_class(graph: onnx.ModelProto) -> None:
    graph.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1
    headers = numpy_helper.to_array(constant(graph, "headers.weight"))
    replace(graph, "headers.weight", headers[:, ::2])
    replace(graph, "headers.bias", numpy_helper.to_array(constant(graph, "headers.bias"))[::2])
    for found in graph.graph.initializer:
        if numpy_helper.to_array(found).tolist() == [0, 3, 2]:
            found.CopyFrom(numpy_helper.from_array(np.array([0, 3, 1]), found.name))


def repeated_layer(graph: onnx.ModelProto) -> None:
    """Add the first layer's nodes once more, over the same constants."""
    nodes = [node for node in graph.graph.node if node.op_type == "Gelu"]
    graph.graph.node.insert(0, nodes[0])


def epsilon(graph: onnx.ModelProto) -> None:
    node = next(node for node in graph.graph.node if node.op_type == "LayerNormalization")
    for attribute in node.attribute:
        if attribute.name == "epsilon":
            attribute.f = 0.5


def other_file(graph: onnx.ModelProto) -> None:
    found = constant(graph, "positions")
    found.ClearField("raw_data")
    found.data_location = TensorProto.EXTERNAL
    found.external_data.add(key="location", value="/etc/passwd")


def outer_product(graph: onnx.ModelProto) -> None:
    node = next(node for node in graph.graph.node if node.op_type == "Tanh")
    node.op_type = "Expand"


INT8: dict[str, Callable[[onnx.ModelProto], Any]] = {
    "no feed-forward neurons": no_neurons,
    "a milliard of layers": lambda graph: setting(graph, layers="1000000000"),
    "two layers fewer": lambda graph: setting(graph, layers="1"),
    "layers in other digits": lambda graph: setting(graph, layers="\N{ARABIC-INDIC DIGIT THREE}"),
    "other heads": lambda graph: setting(graph, heads="1"),
    "no heads": lambda graph: setting(graph, heads="0"),
    "another epsilon": lambda graph: setting(graph, epsilon="0.5"),
    "epsilon not a number": lambda graph: setting(graph, epsilon="nan"),
    "another activation": lambda graph: setting(graph, activation="gelu_new"),
    "other headers": lambda graph: setting(graph, headers="1"),
    "codes of uint8": lambda graph: cast(graph, "encoder.layer.0.attention.self.key.codes", np.uint8),
    "codes of int32": lambda graph: cast(graph, "encoder.layer.2.attention.self.key.codes", np.int32),
    "fp32 weights as int64": lambda graph: cast(graph, "encoder.layer.2.intermediate.dense.weight", np.int64),
    "a narrow query": narrow_query,
    "a bias that is not finite": lambda graph: nan(graph, "encoder.layer.1.output.dense.bias"),
    "positions that are not finite": lambda graph: nan(graph, "positions"),
    "a loop": loop,
    "one class": one_class,
    "a node twice": repeated_layer,
    "a node's epsilon": epsilon,
    "constants in another file": other_file,
    "another operator": outer_product,
}
FP32: dict[str, Callable[[onnx.ModelProto], Any]] = {
    name: INT8[name]
    for name in (
        "no feed-forward neurons", "other heads", "another epsilon", "positions that are not finite", "a loop",
        "one class", "a node twice", "a node's epsilon", "constants in another file", "another operator",
    )
} | {
    "weights that are not finite": lambda graph: nan(graph, "encoder.layer.0.attention.self.value.weight"),
    "a word that is not finite": lambda graph: nan(graph, "words.weight"),
    "words as int8": lambda graph: cast(graph, "words.weight", np.int8),
}  # fmt: skip
GRAPHS = [("model.int8.onnx", "int8", name) for name in INT8] + [("model.onnx", "fp32", name) for name in FP32]


@pytest.mark.parametrize(("file", "precision", "name"), GRAPHS)
def test_a_crafted_graph_is_refused_in_a_line(bundle: Path, file: str, precision: Any, name: str) -> None:
    graph = onnx.load(bundle / file)
    {"int8": INT8, "fp32": FP32}[precision][name](graph)
    (bundle / file).write_bytes(graph.SerializeToString())
    reseal(bundle)
    for engine in ("kernel", "onnxruntime") if precision == "int8" else ("onnxruntime",):
        with pytest.raises(TmkdError, match=r"(?s)^[^\n]*$"):
            Ranker(bundle, precision, engine=engine)  # type: ignore[arg-type]


def test_every_crafted_graph_was_whole_before(exported: Path) -> None:
    for precision, engine in (("int8", "onnxruntime"), ("fp32", "onnxruntime")):
        assert len(Ranker(exported, precision, engine=engine).predict(PAIRS)) == len(PAIRS)  # type: ignore[arg-type]


def test_other_labels_than_the_graphs_are_refused(bundle: Path) -> None:
    content = json.loads((bundle / "bundle.json").read_bytes())
    for change, told in (
        ({"labels": ["no", "perhaps", "yes"]}, "damaged"),  # the check sequences have two
        ({"version": 2, "labels": ["no", "perhaps", "yes"]}, r"2 classes, bundle\.json names 3"),
        ({"headers": ["toy/t0"]}, r"3 headers, bundle\.json names 1"),
        ({"labels": "yes"}, "damaged"),
        ({"labels": [["no"], "yes"]}, "damaged"),
        ({"precisions": ["int8"]}, "damaged"),
        ({"text": {**content["text"], "max_length": 10**9}}, "network's 700 positions"),
        ({"text": {**content["text"], "max_length": True}}, "damaged"),
        ({"version": 2, "text": {**content["text"], "pad_id": 10**9}}, "special tokens that the network does not have"),
        ({"check": {**content["check"], "ids": [[0], [0], [0], [10**9]]}}, "damaged"),
        ({"check": {**content["check"], "int8_limit": 10**9}}, "damaged"),
    ):
        (bundle / "bundle.json").write_text(json.dumps(content | change))
        reseal(bundle)
        with pytest.raises(TmkdError, match=told):
            Ranker(bundle, "fp32")


def tokenizer_with(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content.update(changes)


DOUBLED = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
ADDED = {
    "id": 10**9, "content": "[NEW]", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
    "special": True,
}  # fmt: skip
TOKENIZERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "one id of a milliard": lambda content: content["model"]["vocab"].update(moon=10**9),
    "one id below 0": lambda content: content["model"]["vocab"].update(moon=-1),
    "an added token of a milliard": lambda content: content["added_tokens"].append(ADDED),
    "24 replacements": tokenizer_with(normalizer={"type": "Sequence", "normalizers": [DOUBLED] * 24}),
    "one long replacement": tokenizer_with(normalizer={**DOUBLED, "content": "a" * 1000}),
    "replacements of nothing": tokenizer_with(normalizer={**DOUBLED, "pattern": {"Regex": ""}, "content": "a" * 1000}),
    "long words": lambda content: content["model"].update(max_input_chars_per_word=10**9),
    "dropout": lambda content: content["model"].update(dropout=0.5),
    "no unknown token": lambda content: content["model"].update(unk_token="[NONE]"),
    "no vocabulary": lambda content: content["model"].pop("vocab"),
    "no model": lambda content: content.pop("model"),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_crafted_tokenizer_is_refused_in_a_line(bundle: Path, name: str) -> None:
    path = bundle / "tokenizer.json"
    content = json.loads(path.read_bytes())
    TOKENIZERS[name](content)
    path.write_text(json.dumps(content))
    reseal(bundle)
    with pytest.raises(TmkdError, match=r"tokenizer.json: not a tokenizer \([^\n]*$"):
        Ranker(bundle, "fp32")


def test_a_bundle_of_version_2_scores_as_before(bundle: Path) -> None:
    expected = {precision: Ranker(bundle, precision).predict(PAIRS) for precision in ("fp32", "int8")}  # type: ignore[arg-type]
    for file in ("model.onnx", "model.int8.onnx"):
        graph = onnx.load(bundle / file)
        names = {one.name: old_name(one.name) for one in graph.graph.initializer}
        for one in graph.graph.initializer:
            one.name = names[one.name]
        for node in graph.graph.node:
            for place, name in enumerate(node.input):
                node.input[place] = names.get(name, name)
        (bundle / file).write_bytes(graph.SerializeToString())
    content = json.loads((bundle / "bundle.json").read_bytes())
    del content["check"]
    (bundle / "bundle.json").write_text(json.dumps(content | {"version": 2}))
    reseal(bundle)
    for precision, scores in expected.items():
        np.testing.assert_array_equal(Ranker(bundle, precision).predict(PAIRS), scores)  # type: ignore[arg-type]


def old_name(name: str) -> str:
    return "turn" if name == "hadamard" else name.replace(".codes", ".steps").replace(".outliers.", ".loud.")


@pytest.mark.skipif(not kernel_level(), reason="no compiled kernel, or a processor without AVX-512 VNNI")
def test_an_engine_that_computes_wrongly_is_left_with_a_warning(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.loads((bundle / "bundle.json").read_bytes())
    (bundle / "bundle.json").write_text(
        json.dumps(content | {"int8_engines": ["kernel, 1 byte", "onnxruntime, 1 byte"]})
    )
    reseal(bundle)
    monkeypatch.setattr("tmkd.bundle.ranker.own_precision", lambda: "int8")
    right = Kernel.logits
    monkeypatch.setattr(Kernel, "logits", lambda self, tokens: right(self, tokens)[:, ::-1])
    with pytest.warns(RuntimeWarning, match="int8 graph computed by kernel, 1 byte is wrong: a log-odds is off by"):
        taken = Ranker(bundle)
    assert (taken.precision, taken.engine) == ("int8", "onnxruntime")
    with pytest.raises(TmkdError, match="computed by kernel, 1 byte is wrong"):
        Ranker(bundle, engine="kernel")


def test_an_fp32_engine_that_computes_wrongly_is_refused(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Session.logits
    shift = np.array([-0.002, 0.002], dtype=np.float32)
    monkeypatch.setattr(Session, "logits", lambda self, tokens: right(self, tokens) + shift)
    with pytest.raises(TmkdError, match=r"fp32 graph computed by onnxruntime is wrong: a log-odds is off by 0\.004"):
        Ranker(bundle, "fp32")


def test_the_check_sequences_are_short_of_17_longest_and_special(exported: Path) -> None:
    check = Ranker(exported, "fp32").bundle.check
    assert check is not None
    assert [len(one) for one in check.ids] == [5, 17, 650, 3]
    assert max(max(one) for one in check.ids) < len(tiny.WORDS)
    assert {one[0] for one in check.ids} == {check.ids[3][0]}
