"""The whole encoder on random weights against a BERT in float64."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from kernel_build import Build, aligned, empty, exact_gelu
from tmkd.bundle.graph import Constants, hadamard
from tmkd.bundle.kernel_library import Batch
from tmkd.bundle.kernel_weights import Weights

VOCABULARY, POSITIONS, TYPES, WIDTH, HEADS, FFN, LAYERS, HEADERS = 50, 600, 2, 64, 2, 128, 3, 6
SETTINGS = {"layers": str(LAYERS), "heads": str(HEADS), "epsilon": "1e-12", "activation": "gelu", "headers": "3"}


def random_constants(seed: int) -> Constants:
    """Constants of an int8 graph, by its names."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
        return (rng.normal(size=shape) * scale).astype(np.float32)

    def int8(name: str, inputs: int, outputs: int) -> Constants:
        codes = rng.integers(-127, 128, (inputs, outputs), dtype=np.int8)
        scales = rng.uniform(0.5, 1.5, outputs).astype(np.float32) / np.float32(73 * inputs**0.5)  # outputs of about 1
        return {f"{name}.codes": codes, f"{name}.scales": scales, f"{name}.bias": normal(outputs)}

    def fp32(name: str, inputs: int, outputs: int) -> Constants:
        return {f"{name}.weight": normal(inputs, outputs, scale=inputs**-0.5), f"{name}.bias": normal(outputs)}

    def norm(name: str) -> Constants:
        return {f"{name}.weight": 1 + normal(WIDTH, scale=0.1), f"{name}.bias": normal(WIDTH, scale=0.1)}

    words = rng.integers(-127, 128, (VOCABULARY, WIDTH), dtype=np.int8)
    constants = {
        "words.codes": words,
        "words.scales": rng.uniform(0.5, 1.5, (VOCABULARY, WIDTH // 64, 1)).astype(np.float32) / np.float32(73),
        "positions": normal(POSITIONS, WIDTH),
        "types": normal(TYPES, WIDTH),
        "hadamard": hadamard(),
        **norm("embeddings.LayerNorm"),
        **fp32("pooler", WIDTH, WIDTH),
        **fp32("headers", WIDTH, HEADERS),
    }
    for number in range(LAYERS):
        name, last = f"encoder.layer.{number}", number == LAYERS - 1
        linear = fp32 if last else int8
        constants |= norm(f"{name}.attention.output.LayerNorm") | norm(f"{name}.output.LayerNorm")
        constants |= linear(f"{name}.attention.self.query", WIDTH, WIDTH)
        constants |= int8(f"{name}.attention.self.key", WIDTH, WIDTH)
        constants |= int8(f"{name}.attention.self.value", WIDTH, WIDTH)
        constants |= linear(f"{name}.attention.output.dense", WIDTH, WIDTH)
        constants |= linear(f"{name}.intermediate.dense", WIDTH, FFN)
        constants |= linear(f"{name}.output.dense", FFN, WIDTH)
        if number == 1:  # one layer without outlier neurons, one with
            constants |= fp32(f"{name}.intermediate.outliers", WIDTH, 4)
            constants[f"{name}.output.outliers.weight"] = normal(4, WIDTH)
    return constants


class ExactBert:
    """The graph of `random_constants` in float64, one pair at a time."""

    def __init__(self, constants: Constants) -> None:
        self.constants = {name: value.astype(np.float64) for name, value in constants.items()}

    def logits(self, ids: np.ndarray, types: np.ndarray) -> np.ndarray:
        c = self.constants
        hidden = self.norm("embeddings.LayerNorm", self.embeddings(ids, types))
        for number in range(LAYERS):
            name = f"encoder.layer.{number}"
            asking = hidden[:1] if number == LAYERS - 1 else hidden
            query, key, value = (
                self.linear(f"{name}.attention.self.{part}", rows, rotated=True)
                for part, rows in (("query", asking), ("key", hidden), ("value", hidden))
            )
            by_head = (one.reshape(len(one), HEADS, -1) for one in (query, key, value))
            query, key, value = by_head
            weights = np.exp(np.einsum("qhc,thc->hqt", query, key))
            weights /= weights.sum(axis=2, keepdims=True)
            context = np.einsum("hqt,thc->qhc", weights, value).reshape(asking.shape)
            attended = self.linear(f"{name}.attention.output.dense", context) + asking
            attended = self.norm(f"{name}.attention.output.LayerNorm", attended)
            neurons = exact_gelu(self.linear(f"{name}.intermediate.dense", attended, rotated=True))
            fed = self.linear(f"{name}.output.dense", neurons) + attended
            if f"{name}.output.outliers.weight" in c:
                outliers = exact_gelu(self.linear(f"{name}.intermediate.outliers", attended))
                fed += outliers @ c[f"{name}.output.outliers.weight"]
            hidden = self.norm(f"{name}.output.LayerNorm", fed)
        return self.linear("headers", np.tanh(self.linear("pooler", hidden)))[0]

    def embeddings(self, ids: np.ndarray, types: np.ndarray) -> np.ndarray:
        c = self.constants
        words = c["words.codes"].reshape(VOCABULARY, -1, 64) * c["words.scales"]
        summed: np.ndarray = words.reshape(VOCABULARY, WIDTH)[ids] + c["positions"][: len(ids)] + c["types"][types]
        return summed

    def linear(self, name: str, rows: np.ndarray, rotated: bool = False) -> np.ndarray:
        bias = self.constants[f"{name}.bias"]
        if f"{name}.weight" in self.constants:
            return np.asarray(rows @ self.constants[f"{name}.weight"] + bias)
        if rotated:
            rows = (rows.reshape(len(rows), -1, 16) @ hadamard()).reshape(rows.shape)
        return np.asarray(rows @ self.constants[f"{name}.codes"] * self.constants[f"{name}.scales"] + bias)

    def norm(self, name: str, rows: np.ndarray) -> np.ndarray:
        away = rows - rows.mean(axis=1, keepdims=True)
        normal = away / np.sqrt((away**2).mean(axis=1, keepdims=True) + 1e-12)
        return np.asarray(normal * self.constants[f"{name}.weight"] + self.constants[f"{name}.bias"])


class Pairs:
    """Random pairs of these lengths, with the structure that describes them."""

    def __init__(self, lengths: list[int]) -> None:
        rng = np.random.default_rng(sum(lengths))
        self.ids = [rng.integers(0, VOCABULARY, length) for length in lengths]
        self.types = [rng.integers(0, TYPES, length) for length in lengths]
        flat: list[Any] = [np.concatenate(part).astype(np.int32) for part in (self.ids, self.types)]
        self.arrays = [aligned(one) for one in (*flat, np.array(lengths, dtype=np.int64))]
        self.batch = Batch(len(lengths), *(array.ctypes.data for array in self.arrays))


def encoded(build: Build, weights: Weights, pairs: Pairs) -> np.ndarray:
    model, batch = ctypes.byref(weights.model), ctypes.byref(pairs.batch)
    build.library.tmkd_workspace_size.restype = ctypes.c_int64
    workspace = empty((build.library.tmkd_workspace_size(model, batch),), np.uint8)
    logits = empty((len(pairs.ids), weights.outputs), np.float32)
    addresses = (ctypes.c_void_p(array.ctypes.data) for array in (workspace, logits))
    build.library.tmkd_encode(model, build.level, batch, *addresses)
    assert (logits[:, HEADERS:] == 0).all()  # padding
    return logits[:, :HEADERS]


@pytest.mark.parametrize(("size", "close"), [(1, 0.12), (2, 0.03)], ids=["1 byte", "2 bytes"])
@pytest.mark.parametrize("lengths", [[1], [5, 30, 17], [129, 64, 500, 33], [520, 3]], ids=str)
def test_logits_are_those_of_float64(build: Build, lengths: list[int], size: int, close: float) -> None:
    constants, pairs = random_constants(1), Pairs(lengths)
    exact = ExactBert(constants)
    expected = [exact.logits(*pair) for pair in zip(pairs.ids, pairs.types, strict=True)]
    found = encoded(build, Weights(constants, SETTINGS, size), pairs)
    assert np.abs(found - np.stack(expected)).max() < close  # attention and the last layer are bf16


def test_without_a_pooler_the_first_token_s_state_goes_to_the_headers(build: Build) -> None:
    constants, pairs = random_constants(2), Pairs([20])
    exact = ExactBert(constants)
    exact.constants["pooler.weight"], exact.constants["pooler.bias"] = np.eye(WIDTH) * 1e-6, np.zeros(WIDTH)
    exact.constants["headers.weight"] *= 1e6  # tanh is the identity near 0
    expected = exact.logits(pairs.ids[0], pairs.types[0])
    for part in ("weight", "bias"):
        del constants[f"pooler.{part}"]
    found = encoded(build, Weights(constants, SETTINGS, 2), pairs)[0]
    assert np.abs(found - expected).max() < 0.05


@pytest.mark.parametrize("size", [1, 2])
def test_a_pair_s_logits_are_the_same_to_the_bit_in_any_batch(build: Build, size: int) -> None:
    weights, lengths = Weights(random_constants(3), SETTINGS, size), [7, 200, 33, 300, 64, 12, 515]
    pairs = Pairs(lengths)
    together = encoded(build, weights, pairs)
    for number in range(len(lengths)):
        alone = Pairs([lengths[number]])
        alone.arrays[0][...], alone.arrays[1][...] = pairs.ids[number], pairs.types[number]
        np.testing.assert_array_equal(encoded(build, weights, alone)[0], together[number])


def test_embeddings_are_summed_and_normalised(software: Build) -> None:
    constants, pairs = random_constants(4), Pairs([3, 40, 1])
    weights, exact = Weights(constants, SETTINGS, 2), ExactBert(constants)
    size = software.library.tmkd_workspace_size(ctypes.byref(weights.model), ctypes.byref(pairs.batch))
    hidden = empty((44, WIDTH), np.float32)
    software("embed", weights.model, pairs.batch, empty((size,), np.uint8), hidden)
    summed = np.concatenate([exact.embeddings(*pair) for pair in zip(pairs.ids, pairs.types, strict=True)])
    np.testing.assert_allclose(hidden, exact.norm("embeddings.LayerNorm", summed), atol=1e-5)
