"""A bundle's tokenizer: opened where it fits the network, else refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from tmkd.bundle.network_graph import NetworkSize
from tmkd.bundle.tokenizer_check import open_tokenizer
from tmkd.data.text import PairTokenizer, TextSettings
from tmkd.errors import TmkdError

SIZE = NetworkSize(2, 2, len(tiny.WORDS), 64, 2)
SETTINGS = TextSettings(32, 0, True, None)


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    """Content of the tiny world's tokenizer.json."""
    tiny.write_tokenizer(tmp_path)
    return dict(json.loads((tmp_path / "tokenizer.json").read_bytes()))


def opened(content: dict[str, Any], size: NetworkSize = SIZE, settings: TextSettings = SETTINGS) -> PairTokenizer:
    return open_tokenizer(json.dumps(content).encode(), settings, size, "it")


def test_a_tokenizer_that_fits_the_network_is_opened(content: dict[str, Any]) -> None:
    assert opened(content).encode(["moon"], ["sun"]).lengths.tolist() == [5]  # [CLS] moon [SEP] sun [SEP]


@pytest.mark.parametrize(
    ("size", "fault"),
    [
        (SIZE._replace(words=len(tiny.WORDS) - 1), f"the id {len(tiny.WORDS) - 1}, but the network has"),
        (SIZE._replace(types=1), "special tokens that the network does not have"),
        (SIZE._replace(longest=31), "32 ids are more than the network's 31 positions"),
    ],
)
def test_a_tokenizer_for_a_larger_network_is_refused(content: dict[str, Any], size: NetworkSize, fault: str) -> None:
    with pytest.raises(TmkdError, match=f"^it: .*{fault}"):
        opened(content, size)


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda model: model.update(dropout=0.1), "dropout, by which a text's ids change"),
        (lambda model: model.update(max_input_chars_per_word=10**6), "words of more than 1000 characters"),
        (lambda model: model["vocab"].update(moon="7"), "the id 7, but the network has"),
        (lambda model: model.pop("vocab"), "not a tokenizer"),
    ],
)
def test_a_model_of_a_tokenizer_that_tmkd_does_not_write_is_refused(
    content: dict[str, Any], spoil: Callable[[dict[str, Any]], object], fault: str
) -> None:
    spoil(content["model"])
    with pytest.raises(TmkdError, match=f"^it: .*{fault}"):
        opened(content)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[]", b"{}"])
def test_other_bytes_are_no_tokenizer(data: bytes) -> None:
    with pytest.raises(TmkdError, match="it: not a tokenizer"):
        open_tokenizer(data, SETTINGS, SIZE, "it")
