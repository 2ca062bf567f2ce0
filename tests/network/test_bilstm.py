"""The Bi-LSTM student: its size, what it reads, and that it trains like any other student."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

import tiny
from tiny import Call, World
from tmkd.data.labels import LabelSet
from tmkd.errors import TmkdError
from tmkd.network import Student
from tmkd.network.bilstm import BiLSTM, BiLSTMConfig
from tmkd.network.bilstm_start import write_start
from tmkd.network.headers import Header

LABELS = LabelSet("toy", ("no", "yes"), "yes")
PAIRS = [("what is the moon", "the moon is made of rock"), ("why", "the sun is known ."), ("", "moon"), ("moon", "")]


def write_vectors(path: Path, width: int = 8) -> Path:
    words = [word for word in tiny.WORDS if not word.startswith("[")]
    numbers = np.random.default_rng(2).normal(0, 0.5, (len(words), width))
    lines = [" ".join([word, *map(str, row)]) for word, row in zip(words, numbers.round(4).tolist(), strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lstm")
    write_start(write_vectors(folder / "v.txt"), folder / "start", 1000, 2, seed=1)
    return folder / "start"


@pytest.fixture(scope="module")
def student(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Student:
    folder = tmp_path_factory.mktemp("students") / "s"
    headers = [Header("toy/gold", None), Header("toy/ann", "aa")]
    made = Student.start(start, 2, "pooler", LABELS, headers, 32, seed=1)
    with torch.no_grad():
        for linear in made.headers.linears:
            linear.get_parameter("weight").mul_(30)
    made.save(folder, start)
    return Student.from_pretrained(folder)


def test_it_has_as_many_parameters_as_the_paper_counts() -> None:
    with torch.device("meta"):
        body = BiLSTM(BiLSTMConfig(vocab_size=150_000))
    assert sum(weight.numel() for weight in body.parameters()) / 1e6 == pytest.approx(50.44, abs=0.005)


def test_padding_and_batch_mates_change_nothing(student: Student) -> None:
    together = student.predict(PAIRS)
    np.testing.assert_allclose(together, np.concatenate([student.predict([pair]) for pair in PAIRS]), atol=1e-6)
    assert len(set(together.round(4).tolist())) > 2


def test_question_and_passage_have_encoders_of_their_own(start: Path) -> None:
    body = BiLSTM.from_pretrained(start).eval()
    ids = torch.tensor([[2, 5, 6, 3, 7, 8, 9, 3]])
    types = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1]])
    told = body(ids, torch.ones_like(ids), types).pooler_output
    other = body(torch.tensor([[2, 5, 6, 3, 7, 8, 4, 3]]), torch.ones_like(ids), types).pooler_output
    half = told.shape[1] // 2
    assert torch.equal(told[:, :half], other[:, :half])
    assert not torch.equal(told[:, half:], other[:, half:])
    same = torch.tensor([[2, 5, 6, 3, 5, 6, 3]])
    both = body(same, torch.ones_like(same), torch.tensor([[0, 0, 0, 0, 1, 1, 1]])).pooler_output
    assert not torch.allclose(both[:, :half], both[:, half:])


def test_a_texts_vector_is_the_greatest_of_its_states(start: Path) -> None:
    body = BiLSTM.from_pretrained(start).eval()
    ids = torch.tensor([[2, 5, 6, 3, 7, 8, 9, 3]])
    told = body(ids, torch.ones_like(ids), torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1]])).pooler_output
    states = body.passage(body.embeddings(torch.tensor([[7, 8, 9]])))[0]
    torch.testing.assert_close(told[:, told.shape[1] // 2 :], states.amax(dim=1))


def test_transformers_opens_it_and_it_takes_fewer_layers(start: Path, student: Student) -> None:
    assert isinstance(AutoModelForSequenceClassification.from_pretrained(student.name_or_path), Student)
    one = Student.start(start, 1, "pooler", LABELS, [Header("toy/gold", None)], 32, seed=1)
    assert one.encoder.config.num_hidden_layers == 1
    with pytest.raises(TmkdError, match="has 2 layers"):
        Student.start(start, 3, "pooler", LABELS, [Header("toy/gold", None)], 32, seed=1)


def test_a_recipe_trains_it_through_both_stages(finished: World, tmkd: Call) -> None:
    vectors = write_vectors(finished.recipe.parent / "v.txt")
    said = tmkd("words", vectors, finished.recipe.parent / "lstm", "--words", 500)
    assert (said.code, "words" in said.err) == (0, True)
    tiny.change(finished.recipe, "student", {"base": "lstm", "layers": 2, "max_length": 48})
    tiny.change(finished.recipe, "rows", {"tmkd": {"stages": [{"use": "pretrain"}, {"use": "finetune"}]}})
    assert tmkd("check", finished.recipe, "--runs", finished.runs).code == 0
    done = tmkd("run", finished.recipe, "--runs", finished.runs)
    assert done.code == 0, done.err
    assert "tmkd" in done.out
