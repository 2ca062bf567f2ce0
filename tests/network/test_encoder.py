from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tmkd.errors import TmkdError
from tmkd.network.encoder import bottom_layers, encoder_config, encoder_from_config, fresh_pooler, represent

Folders = Callable[[str], Path]
IDS = torch.tensor([[0, 5, 6, 1, 7, 8, 1], [0, 9, 1, 10, 1, 2, 2]])
MASK = torch.tensor([[1] * 7, [1] * 5 + [0] * 2])
TYPES = torch.tensor([[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0, 0]])


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "gpt2"])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_bottom_layers_keep_their_pretrained_weights(pretrained: Folders, family: str, layers: int) -> None:
    whole = load_file(pretrained(family) / "model.safetensors")
    encoder = bottom_layers(pretrained(family), layers, "first")
    assert encoder.config.num_hidden_layers == layers
    for name, weight in encoder.state_dict().items():
        assert torch.equal(weight, whole[name]), name


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "gpt2"])
def test_a_pair_is_read_whatever_the_family_and_padding_does_not_matter(pretrained: Folders, family: str) -> None:
    encoder = bottom_layers(pretrained(family), 2, "first").eval()
    both = represent(encoder, "first", IDS, MASK, TYPES)
    alone = represent(encoder, "first", IDS[1:, :5], MASK[1:, :5], TYPES[1:, :5])
    assert both.shape == (2, 16)
    assert torch.allclose(both[1], alone[0], atol=1e-5)


def test_the_pooler_is_read_when_asked_for_and_dropped_when_not(pretrained: Folders) -> None:
    with_pooler = bottom_layers(pretrained("bert"), 2, "pooler").eval()
    output = with_pooler(input_ids=IDS, attention_mask=MASK, token_type_ids=TYPES)
    # The first token alone is another computation than all tokens: equal but for rounding.
    torch.testing.assert_close(represent(with_pooler, "pooler", IDS, MASK, TYPES), output.pooler_output)
    assert bottom_layers(pretrained("bert"), 2, "first").pooler is None


def test_segments_reach_only_an_encoder_that_has_token_types(pretrained: Folders) -> None:
    for family, differs in (("bert", True), ("roberta", False), ("gpt2", False)):
        encoder = bottom_layers(pretrained(family), 1, "first").eval()
        told = represent(encoder, "first", IDS, MASK, TYPES)
        untold = represent(encoder, "first", IDS, MASK, None)
        assert torch.equal(told, untold) is not differs


def test_the_configuration_builds_the_same_shape_again(pretrained: Folders) -> None:
    for family in ("bert", "roberta", "distilbert", "gpt2"):
        encoder = bottom_layers(pretrained(family), 3, "first")
        told = json.loads(json.dumps(encoder_config(encoder)))
        assert str(pretrained(family)) not in json.dumps(told)
        again = encoder_from_config(told, "first")
        assert {name: weight.shape for name, weight in again.state_dict().items()} == {
            name: weight.shape for name, weight in encoder.state_dict().items()
        }
        assert again.config._attn_implementation == "eager"


def test_too_many_layers_and_a_missing_pooler_name_the_remedy(pretrained: Folders) -> None:
    with pytest.raises(TmkdError, match=r"has 4 layers, the student asks for 5; set student\.layers to 4 or fewer"):
        bottom_layers(pretrained("bert"), 5, "first")
    with pytest.raises(TmkdError, match=r"no pooler; set student\.pool: first"):
        bottom_layers(pretrained("distilbert"), 2, "pooler")


def test_a_folder_that_is_no_encoder_is_an_error_of_one_line(pretrained: Folders, tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="cannot be opened as an encoder") as told:
        bottom_layers(tmp_path, 1, "first")
    assert "\n" not in str(told.value)
    broken = shutil.copytree(pretrained("bert"), tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    del weights["encoder.layer.0.output.dense.weight"]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TmkdError, match=r"weight encoder\.layer\.0\.output\.dense\.weight is missing"):
        bottom_layers(broken, 1, "first")


def test_a_fresh_pooler_is_drawn_by_its_seed_and_touches_nothing_else(pretrained: Folders) -> None:
    encoder = bottom_layers(pretrained("bert"), 2, "pooler")
    torch.nn.init.ones_(encoder.pooler.dense.bias)
    before = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    fresh_pooler(encoder, 3)
    drawn = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    changed = {name for name, weight in drawn.items() if not torch.equal(weight, before[name])}
    assert changed == {"pooler.dense.weight", "pooler.dense.bias"}
    assert not drawn["pooler.dense.bias"].any()
    largest = drawn["pooler.dense.weight"].abs().max().item()
    assert 0.9 < largest / (6 / (16 + 16)) ** 0.5 <= 1  # Xavier: uniform up to √(6 / (width + width))
    fresh_pooler(encoder, 4)
    assert not torch.equal(encoder.pooler.dense.weight, drawn["pooler.dense.weight"])
    fresh_pooler(encoder, 3)
    assert torch.equal(encoder.pooler.dense.weight, drawn["pooler.dense.weight"])


@pytest.mark.parametrize("family", ["bert", "gpt2", "distilbert"])
def test_an_encoder_without_pooler_gets_no_fresh_one(pretrained: Folders, family: str) -> None:
    with pytest.raises(TmkdError, match="fresh_pooler: true, but the encoder has no pooler; leave it out"):
        fresh_pooler(bottom_layers(pretrained(family), 2, "first"), 1)
