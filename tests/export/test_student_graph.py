"""A student as an ONNX graph: the same numbers in fp32, near ones in int8, for every shape of student."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from transformers import RobertaConfig, RobertaModel

import tiny
from tiny_bundle import make_distinct
from tmkd.data.labels import LabelSet
from tmkd.errors import TmkdError
from tmkd.export.quantize import OUTLIERS, input_moments, quantise_rows
from tmkd.export.student_graph import round_layers, student_graph
from tmkd.network import Student
from tmkd.network.bilstm_start import write_start
from tmkd.network.encoder import Pool, quiet
from tmkd.network.headers import Header

PAIRS = [(question, passage) for question, passage, _ in tiny.pairs(range(10))]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_encoder(tmp_path_factory.mktemp("base"))


def student_of(
    base: Path,
    folder: Path,
    layers: int = 2,
    pool: Pool = "pooler",
    headers: int = 3,
    names: tuple[str, ...] = ("no", "yes"),
) -> Student:
    named = [Header(f"toy/t{number}", str(number)) for number in range(headers)]
    student = Student.start(base, layers, pool, LabelSet("toy", names, names[-1]), named, 32, seed=3)
    make_distinct(student, 30)
    student.save(folder, base)
    return Student.from_pretrained(folder)


def probabilities(graph: onnx.ModelProto, student: Student, pairs: Sequence[tuple[str, str]] = PAIRS) -> np.ndarray:
    onnx.checker.check_model(graph)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    tokens = student.tokenizer.encode([question for question, _ in pairs], [passage for _, passage in pairs])
    return np.exp(session.run(None, tokens.pad(range(len(pairs)), student.tokenizer.settings.pad_id))[0])


@pytest.mark.parametrize(("layers", "pool"), [(1, "pooler"), (2, "pooler"), (2, "first")])
@pytest.mark.parametrize(("headers", "names"), [(1, ("no", "yes")), (4, ("no", "maybe", "yes"))])
def test_fp32_is_the_student(
    base: Path, tmp_path: Path, layers: int, pool: Pool, headers: int, names: tuple[str, ...]
) -> None:
    student = student_of(base, tmp_path / "s", layers, pool, headers, names)
    np.testing.assert_allclose(probabilities(student_graph(student), student), student.predict_proba(PAIRS), atol=1e-5)


def test_int8_is_near_and_small(base: Path, tmp_path: Path) -> None:
    student = student_of(base, tmp_path / "s")
    whole, small = student_graph(student), student_graph(student, round_layers(student, input_moments(student, PAIRS)))
    assert np.abs(probabilities(small, student) - probabilities(whole, student)).max() < 0.05
    kinds = {one.data_type for one in small.graph.initializer if np.prod(one.dims) > 256}
    assert kinds == {onnx.TensorProto.INT8, onnx.TensorProto.FLOAT}  # the positions stay fp32
    # The words, six matrices of the first layer, keys and values of the last: its first token's work is fp32.
    int8 = [one for one in small.graph.initializer if one.data_type == onnx.TensorProto.INT8 and len(one.dims) > 1]
    assert len(int8) == 1 + 6 + 2
    saved = 3 * sum(len(one.raw_data) for one in int8)
    stored, before = (sum(len(one.raw_data) for one in graph.graph.initializer) for graph in (small, whole))
    hadamard = 16 * 16 * 4
    assert stored - hadamard < before - 0.8 * saved  # scales and constants take some back


def test_an_outlier_neuron_stays_fp32(base: Path, tmp_path: Path) -> None:
    student = student_of(base, tmp_path / "s")
    layer = student.encoder.encoder.layer[0]
    with torch.no_grad():
        layer.intermediate.dense.bias[3], layer.intermediate.dense.weight[3, 0] = 20.0, 9.0
        layer.output.dense.weight[5, 3] = 8.0
    quantised = round_layers(student, input_moments(student, PAIRS))
    up, down = quantised["encoder.layer.0.intermediate.dense"], quantised["encoder.layer.0.output.dense"]
    assert not up.codes[3].any()
    assert not down.codes[:, 3].any()
    assert (~down.codes.any(axis=0)).sum() == OUTLIERS
    assert down.scales.max() * 127 < 1  # of a row without its weight of 8
    exact = student.predict_proba(PAIRS)
    error = np.abs(probabilities(student_graph(student, quantised), student) - exact)
    weights = {name: student.encoder.get_submodule(name).get_parameter("weight").detach().numpy() for name in quantised}
    all_int8 = {name: quantise_rows(weight) for name, weight in weights.items()}
    assert error.mean() < 0.5 * np.abs(probabilities(student_graph(student, all_int8), student) - exact).mean()


def test_another_body_is_refused(tmp_path: Path) -> None:
    config = RobertaConfig(
        vocab_size=len(tiny.WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=66, pad_token_id=0, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    (tmp_path / "roberta").mkdir()
    with quiet():
        RobertaModel(config).save_pretrained(tmp_path / "roberta")
    tiny.write_tokenizer(tmp_path / "roberta")
    with pytest.raises(TmkdError, match="a roberta body has no ONNX export"):
        student_graph(student_of(tmp_path / "roberta", tmp_path / "s", 1))


def test_a_bi_lstm_is_the_student_too(tmp_path: Path) -> None:
    numbers = np.random.default_rng(2).normal(0, 0.5, (len(tiny.WORDS), 8)).round(4)
    lines = [" ".join([word, *map(str, row)]) for word, row in zip(tiny.WORDS, numbers.tolist(), strict=True)]
    (tmp_path / "v.txt").write_text("\n".join(lines))
    write_start(tmp_path / "v.txt", tmp_path / "start", 1000, 2, seed=1)
    student = student_of(tmp_path / "start", tmp_path / "s", names=("no", "maybe", "yes"))
    odd = [*PAIRS, ("", "moon"), ("moon", ""), ("", ""), (PAIRS[0][0] * 9, PAIRS[0][1] * 9)]
    expected = student.predict_proba(odd)
    np.testing.assert_allclose(probabilities(student_graph(student), student, odd), expected, atol=1e-5)
    assert np.abs(probabilities(student_graph(student, {}), student, odd) - expected).max() < 0.05
