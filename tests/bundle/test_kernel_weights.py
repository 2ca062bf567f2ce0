"""Weights in the kernel's layout: the tiles that src/kernel/tiles.h draws, alignment."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from tmkd.bundle.kernel_weights import aligned, bf16_tiles, int8_tiles


def test_int8_tiles_hold_four_inputs_of_an_output_side_by_side() -> None:
    codes = np.arange(32 * 128).reshape(32, 128)
    tiles = int8_tiles(codes)
    assert tiles.shape == (2, 2, 16, 16, 4)
    assert tiles[0, 0, 0, :2].tolist() == [[0, 1, 2, 3], [128, 129, 130, 131]]  # inputs 0-3 of outputs 0 and 1
    assert tiles[0, 0, 15, 0].tolist() == [60, 61, 62, 63]
    assert tiles[0, 1, 0, 0].tolist() == [64, 65, 66, 67]  # the next 64 inputs of the same outputs
    assert tiles[1, 0, 0, 0, 0] == 16 * 128  # then the next 16 outputs


def test_bf16_tiles_hold_two_inputs_of_an_output_side_by_side() -> None:
    weight = np.arange(64 * 32, dtype=np.float32).reshape(64, 32) % 251  # exact in bf16
    tiles = (bf16_tiles(weight).astype(np.uint32) << 16).view(np.float32)
    assert tiles.shape == (2, 2, 16, 16, 2)
    assert tiles[0, 0, 0, :2].tolist() == [[weight[0, 0], weight[1, 0]], [weight[0, 1], weight[1, 1]]]
    assert tiles[1, 1, 15, 3].tolist() == [weight[62, 19], weight[63, 19]]


def test_aligned_copies_begin_at_a_multiple_of_64() -> None:
    kinds: list[Any] = [np.int8, np.uint16, np.float32]
    for kind in kinds:
        array = np.arange(35, dtype=kind).reshape(5, 7)
        copy = aligned(array.T)
        assert copy.ctypes.data % 64 == 0
        assert ctypes.string_at(copy.ctypes.data, copy.nbytes) == array.T.tobytes()
