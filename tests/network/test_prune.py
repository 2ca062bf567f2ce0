from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from tiny import WORDS, passage, question, write_encoder
from tmkd.data.labels import LabelSet
from tmkd.data.text import PairTokenizer
from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError
from tmkd.network import Student
from tmkd.network.encoder import bottom_layers, represent
from tmkd.network.headers import Header
from tmkd.network.prune import check_sizes, write_pruned
from tmkd.recipe.parts import StudentSpec

PAIRS = [(question(topic), passage(topic, good)) for topic in range(12) for good in (True, False)]
QUESTIONS, PASSAGES = ([pair[place] for pair in PAIRS] for place in (0, 1))


def tokens(base: Path) -> TokenIds:
    """The pairs as a base's own tokenizer reads them."""
    return PairTokenizer.load(base, 48).encode(QUESTIONS, PASSAGES)


def asked(**changes: object) -> StudentSpec:
    return StudentSpec.model_validate({"base": "bert", "layers": 2, "max_length": 48, **changes})


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("base"))


def vectors(folder: Path, layers: int = 2) -> torch.Tensor:
    encoder = bottom_layers(folder, layers, "pooler").eval()
    tokenizer = PairTokenizer.load(folder, 48)
    batch = tokenizer.encode(QUESTIONS, PASSAGES).pad(range(len(PAIRS)), tokenizer.settings.pad_id)
    with torch.inference_mode():
        return represent(encoder, "pooler", *(torch.from_numpy(array) for array in batch.values()))


def test_neurons_that_say_nothing_are_the_first_to_go(base: Path, tmp_path: Path) -> None:
    encoder = bottom_layers(base, 2, "pooler")
    for layer in encoder.encoder.layer:
        with torch.no_grad():
            layer.output.dense.weight[:, 8:16] = 0  # their output reaches nothing
            layer.intermediate.dense.weight[20:28] = 0  # always Gelu(−20), which is 0
            layer.intermediate.dense.bias[20:28] = -20
    encoder.save_pretrained(tmp_path / "idle")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "idle" / name).write_bytes((base / name).read_bytes())
    facts = write_pruned(tmp_path / "idle", asked(ffn=16), tokens(base), tmp_path / "narrow")
    assert torch.allclose(vectors(tmp_path / "narrow"), vectors(tmp_path / "idle"), atol=1e-5)
    assert facts["word_pieces"] == len(WORDS)
    assert facts["parameters"] == encoder.num_parameters() - 2 * 16 * (2 * 16 + 1)


def test_without_the_words_of_no_pair_the_pairs_read_as_before(base: Path, tmp_path: Path) -> None:
    said = {word for pair in PAIRS for text in pair for word in text.split()}
    assert len(said) + 6 < len(WORDS)
    facts = write_pruned(base, asked(vocabulary=len(said) + 6), tokens(base), tmp_path)
    assert facts["word_pieces"] == len(said) + 6
    assert torch.allclose(vectors(tmp_path), vectors(base), atol=1e-6)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    ours = PairTokenizer.load(tmp_path, 48)
    assert tokenizer(*PAIRS[0])["input_ids"] == ours.encode(QUESTIONS[:1], PASSAGES[:1]).ids[0].tolist()
    assert bottom_layers(tmp_path, 1, "pooler").config.pad_token_id == ours.settings.pad_id == 0


def test_a_student_starts_from_a_narrow_folder_as_from_any_other(base: Path, tmp_path: Path) -> None:
    write_pruned(base, asked(layers=1, ffn=5, vocabulary=40), tokens(base), tmp_path / "narrow")
    labels = LabelSet("toy", ("no", "yes"), "yes")
    student = Student.start(tmp_path / "narrow", 1, "pooler", labels, [Header("toy/gold", None)], 48, 1)
    student.save(tmp_path / "student", tmp_path / "narrow")
    again = Student.from_pretrained(tmp_path / "student")
    assert again.encoder.config.intermediate_size == 5
    assert again.encoder.config.vocab_size == 40
    assert np.isfinite(again.predict_proba(PAIRS)).all()


@pytest.mark.parametrize("family", ["gpt2", "distilbert"])
def test_an_encoder_that_is_not_built_as_bert_is_refused(pretrained: Callable[[str], Path], family: str) -> None:
    encoder = bottom_layers(pretrained(family), 2, "first")
    tokenizer = PairTokenizer.load(pretrained(family), 48).tokenizer
    with pytest.raises(TmkdError, match=f"student.ffn: a {family} cannot be pruned; encoders built as BERT can"):
        check_sizes(encoder, tokenizer, asked(ffn=4, pool="first"))


def test_more_neurons_than_there_are_is_an_error(base: Path, tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"student\.ffn is 32; the encoder has 32: set it to fewer"):
        write_pruned(base, asked(ffn=32), tokens(base), tmp_path)
