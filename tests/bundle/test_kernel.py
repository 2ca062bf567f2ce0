"""The int8 engine: the int8 graph's numbers for each BERT it computes, a reason for each other graph."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny
from tiny_bundle import checks, student_of
from tmkd.bundle import Ranker, kernel, kernel_library
from tmkd.bundle import ranker as ranker_module
from tmkd.bundle.fair_queue import FairQueue
from tmkd.bundle.format import KERNEL_1, KERNEL_2, ONNXRUNTIME, Width, read_bundle
from tmkd.bundle.kernel import Kernel, kernel_fault
from tmkd.bundle.kernel_library import CPU_LEVELS, kernel_level
from tmkd.bundle.kernel_weights import unsuitable
from tmkd.bundle.onnx_reader import read_constants
from tmkd.bundle.processor import FASTEST_FIRST
from tmkd.bundle.session import Session
from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError
from tmkd.export.onnx import export_bundle
from tmkd.export.parity import CheckSet
from tmkd.export.quantize import input_moments, quantise_rows
from tmkd.export.student_graph import round_layers, student_graph
from tmkd.network import Student
from tmkd.store import write_manifest

FASTEST = FASTEST_FIRST[kernel_level()][0]
PAIRS = [(question, passage) for question, passage, _ in tiny.pairs(range(10))]
here = pytest.mark.skipif(not kernel_level(), reason="no compiled kernel, or a processor without AVX-512 VNNI")
levels = pytest.mark.parametrize("level", range(1, kernel_level() + 1))


def graph_of(student: Student) -> onnx.ModelProto:
    return student_graph(student, round_layers(student, input_moments(student, PAIRS)))


def ids_of(student: Student) -> TokenIds:
    return student.tokenizer.encode([question for question, _ in PAIRS], [passage for _, passage in PAIRS])


def ungrouped() -> CheckSet:
    """The check set as pairs of different questions: random students' answers are too near each other for ranks."""
    return replace(checks(), groups=[str(number) for number in range(len(checks().groups))])


def random_ids(lengths: list[int], seed: int = 1) -> TokenIds:
    rng = np.random.default_rng(seed)
    return TokenIds.of(
        [rng.integers(0, len(tiny.WORDS), length) for length in lengths],
        [np.arange(length) * 2 // length for length in lengths],
    )


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return graph_of(student_of(tmp_path_factory.mktemp("student"))).SerializeToString()


SHAPES: list[dict[str, Any]] = [
    {},
    {"layers": 1},
    {"layers": 2, "pool": "first"},
    {"names": ("no", "maybe", "yes")},
    {"width": 128},  # heads of 64 channels
    {"width": 192, "heads": 6},
    {"neurons": 96},  # no multiple of 64
    {"headers": 70},  # more numbers than channels and neurons
]


def dequantised(student: Student) -> Student:
    """The student with the int8 graph's weights in fp32."""
    rounded = round_layers(student, input_moments(student, PAIRS))
    with torch.no_grad():
        for name, part in rounded.items():
            weight, matrix = student.encoder.get_submodule(name).get_parameter("weight"), torch.tensor(part.matrix)
            weight.copy_(torch.where(matrix == 0, weight, matrix))  # outlier neurons keep theirs: all their codes are 0
        words = student.encoder.get_submodule("embeddings.word_embeddings").get_parameter("weight")
        words.copy_(torch.tensor(quantise_rows(words.numpy().reshape(-1, 64)).matrix.reshape(words.shape)))
    return student


@here
@levels
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("width", "mean", "largest"), [(1, 0.014, 0.08), (2, 0.004, 0.015)], ids=["1 byte", "2 bytes"])
def test_probabilities_are_those_of_the_int8_weights(
    tmp_path: Path, shape: dict[str, Any], level: int, width: Width, mean: float, largest: float
) -> None:
    student = student_of(tmp_path, **shape)
    graph = graph_of(student).SerializeToString()
    tokens = random_ids([3, 4, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65, 100] * 4)
    exact = np.exp(Session(student_graph(dequantised(student)).SerializeToString(), "fp32", 0).logits(tokens))
    ours = np.exp(Kernel(graph, "int8", level, width).logits(tokens))
    # Activations are codes of one or two bytes; attention and the last layer's first token are bf16.
    assert np.abs(ours - exact).mean() < mean
    assert np.abs(ours - exact).max() < largest
    np.testing.assert_allclose(ours.sum(axis=1), 1, atol=1e-5)


@here
@pytest.mark.skipif(kernel_level() < 2, reason="no AMX")
def test_both_levels_give_the_same(graph: bytes) -> None:
    tokens = random_ids([5, 20, 40, 80] * 8)
    amx, avx512 = (np.exp(Kernel(graph, "int8", level).logits(tokens)) for level in (2, 1))
    # Sums of bf16 products differ in their last bit.
    assert np.abs(amx - avx512).mean() < 0.001


@here
@levels
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(st.lists(st.integers(min_value=1, max_value=90), min_size=1, max_size=70), st.integers(min_value=1, max_value=3))
def test_a_pair_alone_is_the_same_to_the_bit_as_in_any_batch(
    graph: bytes, level: int, lengths: list[int], threads: int
) -> None:
    encoder, tokens = FairQueue(Kernel(graph, "int8", level), threads), random_ids(lengths)
    together = encoder.logits(tokens)
    some = sorted({0, len(lengths) // 2, len(lengths) - 1})
    np.testing.assert_array_equal(together[some], np.concatenate([encoder.logits(tokens.take([at])) for at in some]))


@here
@levels
def test_attention_scores_may_be_far_apart(tmp_path: Path, level: int) -> None:
    student = student_of(tmp_path)
    with torch.no_grad():
        for layer in range(3):
            student.encoder.get_submodule(f"encoder.layer.{layer}.attention.self.query").get_parameter("weight").mul_(
                100
            )
    graph, tokens = graph_of(student).SerializeToString(), random_ids([30, 64, 90] * 8)
    exact = np.exp(Session(student_graph(dequantised(student)).SerializeToString(), "fp32", 0).logits(tokens))
    assert np.abs(np.exp(Kernel(graph, "int8", level).logits(tokens)) - exact).mean() < 0.02


@here
@levels
def test_pairs_longer_than_a_group_of_tokens(graph: bytes, level: int) -> None:
    tokens, encoder = random_ids([600, 3, 513, 512, 511, 699, 1, 2]), FairQueue(Kernel(graph, "int8", level), 2)
    theirs = np.exp(Session(graph, "int8", 0).logits(tokens))
    ours = np.exp(encoder.logits(tokens))
    assert np.abs(ours - theirs).max() < 0.05
    alone = np.concatenate([np.exp(encoder.logits(tokens.take([at]))) for at in range(len(tokens.lengths))])
    np.testing.assert_array_equal(ours, alone)


@here
def test_several_threads_may_use_one_kernel(graph: bytes) -> None:
    encoder, tokens = FairQueue(Kernel(graph, "int8"), 2), random_ids([30, 40, 50] * 30)
    expected = encoder.logits(tokens)
    with ThreadPoolExecutor(4) as pool:
        for answer in pool.map(lambda _: encoder.logits(tokens), range(12)):
            np.testing.assert_array_equal(answer, expected)


@here
def test_no_pairs_give_no_logits(graph: bytes) -> None:
    assert Kernel(graph, "int8").logits(random_ids([])).shape == (0, 2)


@here
@pytest.mark.parametrize(
    ("tokens", "what"),
    [
        (TokenIds.of([np.array([len(tiny.WORDS)])], [np.array([0])]), "token id"),
        (TokenIds.of([np.array([-1])], [np.array([0])]), "token id"),
        (TokenIds.of([np.array([1])], [np.array([2])]), "token type"),
        (random_ids([701]), "length"),
        (TokenIds.of([np.array([], dtype=np.int32)], [np.array([], dtype=np.int32)]), "length"),
    ],
)
def test_nothing_is_looked_up_outside_the_tables(graph: bytes, tokens: TokenIds, what: str) -> None:
    with pytest.raises(TmkdError, match=f"a {what} that the network does not have; is tokenizer.json its own"):
        Kernel(graph, "x").logits(tokens)


@here
def test_a_constant_of_another_shape_is_refused(graph: bytes) -> None:
    for number, name in enumerate(read_constants(graph)[0]):
        damaged = onnx.load_from_string(graph)
        constant = damaged.graph.initializer[number]
        if name.startswith("c") and name[1:].isdigit():
            continue  # none of the network's
        shape = [*constant.dims]
        del constant.dims[:]
        constant.dims.extend([shape[0] * 2, *shape[1:-1], shape[-1] // 2] if len(shape) > 1 else [1, *shape])
        with pytest.raises(TmkdError):
            Kernel(damaged.SerializeToString(), "x").logits(random_ids([20]))


def fault_of(graph: onnx.ModelProto, **changes: str) -> str | None:
    constants, settings = read_constants(graph.SerializeToString())
    return unsuitable(constants, settings | changes)


def test_each_unsuitable_graph_has_a_reason(tmp_path: Path) -> None:
    student = student_of(tmp_path)
    graph = graph_of(student)
    assert fault_of(graph) is None
    assert fault_of(graph, activation="gelu_new") == "its activation is gelu_new, not gelu"
    assert fault_of(graph, heads="4") == "64 channels in 4 heads are no multiples of 64 and 32"
    assert fault_of(graph, heads="0") == "64 channels in 0 heads are no multiples of 64 and 32"
    assert fault_of(student_graph(student)) == "its weights are not int8"
    constants, settings = read_constants(graph.SerializeToString())
    assert unsuitable(constants, {}) == "its body is no BERT"
    other = {**constants, "hadamard": np.eye(16)}
    assert unsuitable(other, settings) == "its hidden states are not rotated by the Hadamard matrix of size 16"
    name = "encoder.layer.0.intermediate.outliers.bias"
    assert (
        unsuitable({**constants, name: np.ones(5)}, settings)
        == "a feed-forward has another number of outlier neurons than 4"
    )


@here
@pytest.mark.parametrize("name", ["intermediate.dense.bias", "attention.self.value.scales", "output.LayerNorm.bias"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(graph: bytes, name: str, wrong: float) -> None:
    damaged = onnx.load_from_string(graph)
    constant = next(one for one in damaged.graph.initializer if one.name == f"encoder.layer.0.{name}")
    numbers = onnx.numpy_helper.to_array(constant).copy()
    numbers[3] = wrong
    constant.raw_data = numbers.tobytes()
    with pytest.raises(TmkdError, match=r"damaged int8 graph \(constant .* is not finite\)"):
        Kernel(damaged.SerializeToString(), "x")


@here
def test_where_the_kernel_does_not_run_the_next_engine_that_kept_the_limits_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student_of(tmp_path)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    export_bundle(tmp_path / "student", PAIRS, [ungrouped()], bundle)
    write_manifest(bundle, "export", {}, {}, {}, 0.0)
    monkeypatch.setattr(ranker_module, "kernel_fault", lambda graph: "this processor has no AVX-512 VNNI")
    taken = Ranker(bundle)
    assert (taken.precision, taken.engine) == ("int8", "onnxruntime")
    described = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps(described | {"int8_engines": ["kernel, 2 bytes"]}))
    write_manifest(bundle, "export", {}, {}, {}, 0.0)
    taken = Ranker(bundle)
    assert (taken.precision, taken.engine) == ("fp32", "onnxruntime")
    assert Ranker(bundle, "int8").engine == "onnxruntime"  # asked for by name


@here
def test_a_graph_that_does_not_suit_it_is_left_to_onnxruntime(made: tuple[Path, Path]) -> None:
    assert Ranker(made[1], "int8").engine == "onnxruntime"
    with pytest.raises(TmkdError, match="tmkd's own kernel can't run it: 16 channels in 2 heads"):
        Ranker(made[1], "int8", engine="kernel")
    with pytest.raises(TmkdError, match="its weights are not int8"):
        Ranker(made[1], "fp32", engine="kernel")


@here
@pytest.mark.parametrize(
    ("wrong", "force", "taken"),
    [
        ([], False, FASTEST),
        ([Kernel], False, ONNXRUNTIME),
        ([Kernel], True, ONNXRUNTIME),
        ([Session], False, FASTEST),
        ([Kernel, Session], True, FASTEST),
        ([Kernel, Session], False, ("onnxruntime", None)),
    ],
)
def test_by_default_a_bundle_is_served_only_by_engines_that_kept_the_limits(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: list[type[Kernel] | type[Session]],
    force: bool,
    taken: tuple[str, int | None],
) -> None:
    student_of(tmp_path)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    with monkeypatch.context() as patched:
        for engine in wrong:
            patched.setattr(engine, "logits", mirrored(engine.logits))
        report = export_bundle(tmp_path / "student", PAIRS, [ungrouped()], bundle, force)
    write_manifest(bundle, "export", {}, {}, {}, 0.0)
    of_class = {Kernel: [KERNEL_1, KERNEL_2], Session: [ONNXRUNTIME]}
    broken = [one for engine in wrong for one in of_class[engine]]
    assert {engine for engine, faults in report["faults"].items() if faults} == {*map(str, broken)}
    ranker, precision = Ranker(bundle), "fp32" if taken[1] is None else "int8"
    assert (ranker.precision, ranker.engine, ranker.width) == (precision, *taken)
    card = (bundle / "README.md").read_text()
    for one in broken:
        fate = "left out" if precision == "fp32" else "served" if one in ranker.bundle.engines else "used only"
        name = str(one).replace("kernel", "tmkd's kernel")
        assert f"{name} is beyond its limits** ({fate}" in card
    if precision == "int8":
        assert Ranker(bundle, engine="kernel").engine == "kernel"
        assert Ranker(bundle, "int8", engine="onnxruntime").precision == "int8"
        for width in (1, 2):
            assert Ranker(bundle, width=width, engine="kernel").width == width


@here
def test_of_two_widths_the_one_that_kept_the_limits_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student_of(tmp_path)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    own = Kernel.logits

    def wrong_with_one_byte(self: Kernel, tokens: TokenIds) -> np.ndarray:
        one_byte = self._weights.model.layer[0].qkv.bytes == 1
        return own(self, tokens)[:, :: -1 if one_byte else 1]

    with monkeypatch.context() as patched:
        patched.setattr(Kernel, "logits", wrong_with_one_byte)
        report = export_bundle(tmp_path / "student", PAIRS, [ungrouped()], bundle)
    write_manifest(bundle, "export", {}, {}, {}, 0.0)
    assert [engine for engine, faults in report["faults"].items() if faults] == ["kernel, 1 byte"]
    assert read_bundle(bundle).engines == (KERNEL_2, ONNXRUNTIME)
    served = next(one for one in FASTEST_FIRST[kernel_level()] if one != KERNEL_1)
    ranker = Ranker(bundle)
    assert (ranker.engine, ranker.width) == served
    assert Ranker(bundle, engine="kernel").width == 2
    assert Ranker(bundle, width=1, engine="kernel").width == 1  # asked for by name


@here
def test_a_width_that_an_engine_does_not_have_is_refused(made: tuple[Path, Path]) -> None:
    with pytest.raises(TmkdError, match="onnxruntime has no int8 products of inputs of 2 bytes"):
        Ranker(made[1], engine="onnxruntime", width=2)
    with pytest.raises(TmkdError, match="an fp32 graph has none"):
        Ranker(made[1], "fp32", width=1)


def mirrored(logits: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """The classes of an int8 graph the wrong way round; a session of the fp32 graph stays right."""

    def mirrored_logits(self: Any, *arguments: Any) -> np.ndarray:
        given = logits(self, *arguments)
        return given if self.name == "fp32" else given[:, ::-1]

    return mirrored_logits


@here
@pytest.mark.parametrize("junk", [b"", b"not a graph", b"\x3a\xff\xff\xff\xff\x0f"])
def test_bytes_that_are_no_graph_are_refused(junk: bytes) -> None:
    with pytest.raises(TmkdError, match="tmkd's own kernel can't run it"):
        Kernel(junk, "x")


@here
def test_a_level_that_is_unknown_or_missing_is_refused(graph: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for level in (0, 3):
        assert kernel_fault(graph, level) == f"unknown level {level}; use 1 (AVX-512 VNNI) or 2 (AMX)"
    monkeypatch.setattr(kernel, "kernel_level", lambda: 1)
    assert kernel_fault(graph, 2) == "this processor has no AMX"
    monkeypatch.setattr(kernel, "kernel_level", lambda: 0)
    assert kernel_fault(graph) == f"this processor has no {CPU_LEVELS[1]}"


@pytest.fixture
def not_compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    caches = kernel_library.open_library, kernel_library.kernel_level, kernel_library.warn_of_unused_processor
    for cached in caches:
        cached.cache_clear()
    monkeypatch.setattr(kernel_library, "find_spec", lambda name: None)
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.usefixtures("not_compiled")
@pytest.mark.parametrize("able", [True, False])
def test_without_a_compiler_onnxruntime_serves_with_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, able: bool
) -> None:
    student_of(tmp_path)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    flags = kernel_library.LEVEL_1_FLAGS if able else frozenset()
    monkeypatch.setattr(kernel_library, "processor_flags", lambda: flags)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        export_bundle(tmp_path / "student", PAIRS, [checks()], bundle)
        write_manifest(bundle, "export", {}, {}, {}, 0.0)
        assert Ranker(bundle, "int8").engine == "onnxruntime"
        with pytest.raises(TmkdError, match="tmkd was installed without it"):
            Ranker(bundle, "int8", engine="kernel")
    assert kernel_level() == 0
    messages = [str(one.message) for one in caught if issubclass(one.category, RuntimeWarning)]
    assert messages == able * [
        "tmkd's int8 kernel would run on this processor, but tmkd was installed without it (it needs Linux on x86-64 "
        "and a C compiler). onnxruntime is used, which is slower."
    ]
