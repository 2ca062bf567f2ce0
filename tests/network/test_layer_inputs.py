from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tmkd.network.layer_inputs import layer_inputs

BATCH = torch.arange(12.0).reshape(2, 3, 2)


def test_each_run_of_a_layer_gives_its_inputs_a_token_a_row() -> None:
    layer, seen = nn.Linear(2, 5), list[tuple[str, Tensor]]()
    expected = layer(BATCH)

    def add(name: str, inputs: Tensor) -> Tensor:
        seen.append((name, inputs.clone()))
        return inputs.zero_()  # a copy: the layer reads its own

    with layer_inputs({"one": layer}, add):
        assert torch.equal(layer(BATCH), expected)
        layer(BATCH[:1])
    assert [(name, inputs.shape, inputs.dtype) for name, inputs in seen] == [
        ("one", (6, 2), torch.float64),
        ("one", (3, 2), torch.float64),
    ]
    assert torch.equal(seen[0][1], BATCH.reshape(6, 2).double())


def test_other_layers_are_not_watched() -> None:
    watched, other, seen = nn.Linear(2, 2), nn.Linear(2, 2), list[str]()
    with layer_inputs({"w": watched}, lambda name, _: seen.append(name)):
        other(BATCH)
    assert seen == []


def test_an_error_leaves_no_hook() -> None:
    watched, seen = nn.Linear(2, 2), list[str]()
    with pytest.raises(RuntimeError), layer_inputs({"w": watched}, lambda name, _: seen.append(name)):
        watched(torch.zeros(1, 3))
    watched(BATCH)
    assert seen == ["w"]
