"""Attention of the kernel and its parts against float64."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from kernel_build import Build, aligned, empty, from_bf16, to_bf16
from tmkd.bundle.kernel_weights import bf16_tiles

NAN = 0x7FC0  # in bf16
TOKENS = [1, 2, 15, 16, 17, 31, 32, 33, 100]


class AttentionInput(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("query", "key", "value")),
        *((name, ctypes.c_long) for name in ("query_stride", "stride", "queries", "tokens", "heads", "head_width")),
    ]


class AttentionScratch(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("queries", "values", "scores", "weights", "context")]


def test_pairs_are_transposed(software: Build) -> None:
    rows = np.arange(16 * 32, dtype=np.uint16).reshape(16, 16, 2)
    out = empty((16, 16, 2), np.uint16)
    software("transpose_pairs", aligned(rows), out)
    np.testing.assert_array_equal(out, rows.transpose(1, 0, 2))


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("head_width", [32, 96])
def test_values_are_packed_like_weights(software: Build, tokens: int, head_width: int) -> None:
    blocks = -(-tokens // 32)
    values = np.random.default_rng(tokens).normal(size=(tokens, head_width)).astype(np.float32)
    given = np.full((tokens, head_width + 32), NAN, dtype=np.uint16)  # other heads' channels
    given[:, :head_width] = to_bf16(values)
    packed = empty((head_width // 16, blocks, 16, 16, 2), np.uint16)
    software("pack_values", aligned(given), head_width + 32, tokens, head_width, packed)
    padded = np.zeros((blocks * 32, head_width), dtype=np.float32)
    padded[:tokens] = values
    np.testing.assert_array_equal(packed, bf16_tiles(padded))


@pytest.mark.parametrize("tokens", TOKENS)
def test_softmax_weights_are_powers_of_two_below_the_largest(build: Build, tokens: int) -> None:
    scores = np.random.default_rng(tokens).normal(size=(tokens, 16)).astype(np.float32) * 8
    scores[0, 3] = 500  # far above all others
    weights, sums = empty((-(-tokens // 32), 16, 32), np.uint16), empty((16,), np.float32)
    build("softmax_weights", build.level, aligned(scores), tokens, weights, sums)
    exact = 2.0 ** (scores.astype(np.float64) - scores.max(axis=0))
    stored = from_bf16(weights).transpose(0, 2, 1).reshape(-1, 16)
    np.testing.assert_allclose(stored[:tokens], exact, rtol=2**-8, atol=1e-30)
    assert (stored[tokens:] == 0).all()
    np.testing.assert_allclose(sums, exact.sum(axis=0), rtol=1e-5)


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize(("queries", "heads", "head_width"), [(1, 2, 32), (16, 1, 64), (0, 3, 32)])
def test_attention_is_softmax_over_the_pair_s_tokens(
    build: Build, tokens: int, queries: int, heads: int, head_width: int
) -> None:
    queries, width = queries or tokens, heads * head_width
    rng = np.random.default_rng(tokens + queries)
    rows = -(-max(tokens, queries) // 16) * 16
    query, key, value = (to_bf16(rng.normal(size=(rows, width)) * scale) for scale in (1, 1.5, 1))
    query[queries:], key[tokens:], value[tokens:] = NAN, NAN, NAN
    qkv = aligned(np.concatenate([query, key, value], axis=1))
    blocks = -(-tokens // 32)
    scratch = [
        empty((head_width // 32, 16, 16, 2), np.uint16),
        empty((head_width // 16, blocks, 16, 16, 2), np.uint16),
        empty((-(-tokens // 16) * 16, 16), np.float32),
        empty((blocks, 16, 32), np.uint16),
        empty((16, head_width), np.float32),
    ]
    places = [qkv.ctypes.data + 2 * width * part for part in range(3)]
    given = AttentionInput(*places, 3 * width, 3 * width, queries, tokens, heads, head_width)
    out = empty((queries, width), np.float32)
    build("attention", build.level, given, AttentionScratch(*(one.ctypes.data for one in scratch)), out)
    by_head = (
        from_bf16(part[:count]).reshape(count, heads, head_width)
        for part, count in ((query, queries), (key, tokens), (value, tokens))
    )
    asked, keys, values = by_head
    scores = np.einsum("qhc,thc->hqt", asked, keys)
    weights = 2 ** (scores - scores.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    exact = np.einsum("hqt,thc->qhc", weights, values).reshape(queries, width)
    assert np.abs(out - exact).max() < 0.02  # weights are bf16
    assert np.abs(out - exact).mean() < 0.002
