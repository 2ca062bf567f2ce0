from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tmkd.network.encoder import bottom_layers
from tmkd.network.first_token import first_token_state, reads_first_token

Folders = Callable[[str], Path]
IDS = torch.tensor([[0, 5, 6, 1, 7, 8, 1], [0, 9, 1, 10, 1, 2, 2]])
MASK = torch.tensor([[1] * 7, [1] * 5 + [0] * 2])
TYPES = torch.tensor([[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0, 0]])


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_the_first_token_is_the_whole_encoders_in_value_and_gradient(
    pretrained: Folders, family: str, layers: int
) -> None:
    encoder = bottom_layers(pretrained(family), layers, "first").eval()
    types = TYPES if family == "bert" else None
    whole = encoder(input_ids=IDS, attention_mask=MASK, token_type_ids=types).last_hidden_state[:, :1]
    whole.square().sum().backward()
    expected = {name: weight.grad.clone() for name, weight in encoder.named_parameters() if weight.grad is not None}
    encoder.zero_grad()
    first = first_token_state(encoder, IDS, MASK, types)
    torch.autograd.backward(first.square().sum())
    torch.testing.assert_close(first, whole, atol=1e-6, rtol=1e-5)
    found = {name: weight.grad for name, weight in encoder.named_parameters() if weight.grad is not None}
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-4, rtol=1e-4, msg=name)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_in_training_on_a_cpu_the_padding_is_left_out_and_value_and_gradient_stay(
    pretrained: Folders, family: str, layers: int
) -> None:
    encoder = bottom_layers(pretrained(family), layers, "first")
    without_dropout(encoder)
    types = TYPES if family == "bert" else None
    expected, padded = value_and_gradients(encoder.eval(), types)
    rows: list[int] = []
    hook = encoder.encoder.layer[0].attention.self.key.register_forward_hook(
        lambda module, inputs, output: rows.append(inputs[0].shape[:-1].numel())
    )
    found, packed = value_and_gradients(encoder.train(), types)
    hook.remove()
    assert rows == [32]  # of 12 tokens filled up, not of 14 with padding
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert packed.keys() == padded.keys()
    for name, gradient in packed.items():
        torch.testing.assert_close(gradient, padded[name], atol=1e-4, rtol=1e-4, msg=name)


def without_dropout(encoder: nn.Module) -> None:
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def value_and_gradients(encoder: nn.Module, types: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
    encoder.zero_grad()
    first = first_token_state(encoder, IDS, MASK, types)
    torch.autograd.backward(first.square().sum())
    gradients = {name: weight.grad.clone() for name, weight in encoder.named_parameters() if weight.grad is not None}
    return first.detach(), gradients


def test_dropout_falls_on_the_first_token_too(pretrained: Folders) -> None:
    encoder = bottom_layers(pretrained("bert"), 1, "first").train()
    once, again = (first_token_state(encoder, IDS, MASK, TYPES) for _ in range(2))
    assert not torch.equal(once, again)


@pytest.mark.parametrize(
    ("family", "known"), [("bert", True), ("roberta", True), ("distilbert", False), ("gpt2", False)]
)
def test_families_built_otherwise_are_left_alone(pretrained: Folders, family: str, known: bool) -> None:
    assert reads_first_token(bottom_layers(pretrained(family), 2, "first")) is known


def test_a_decoder_is_left_alone(pretrained: Folders) -> None:
    encoder = bottom_layers(pretrained("bert"), 2, "first")
    encoder.config.is_decoder = True
    assert not reads_first_token(encoder)
