"""Teacher, student and mean give probabilities of the right pairs, whatever their batch-mates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification

from tmkd.data.labels import LabelSet
from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError
from tmkd.evaluate.scorers import (
    MeanScorer,
    NetworkScorer,
    Scorer,
    bytes_on_disk,
    from_network,
    from_student_folder,
)
from tmkd.network import Student
from tmkd.network.headers import Header
from tmkd.teachers.network import load
from tmkd.train.hardware import Hardware

LABELS = LabelSet("demo", ("no", "yes"), "yes")
WORDS = ["what", "is", "tea", "a", "drink", "made", "of", "leaves", "why", "rain", "falls", "from", "clouds"]
QUESTIONS = ["what is tea", "why rain falls", "what", "is tea a drink made of leaves"]
PASSAGES = ["tea is a drink", "rain falls from clouds", "leaves of tea made rain", "why"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    tokenizer = Tokenizer(
        models.WordLevel({token: index for index, token in enumerate(dict.fromkeys(tokens))}, "[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        pad_token_id=0,
        id2label={0: "no", 1: "yes"},
    )
    model = BertForSequenceClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=2.0)
    model.save_pretrained(folder)
    return folder


def load_teacher(folder: Path, labels: LabelSet = LABELS) -> NetworkScorer:
    return from_network("T1", load(folder, labels, {}, 16, Hardware("cpu", "fp32"), "T1"), folder)


def test_a_teacher_is_the_softmax_of_its_logits(teacher: Path) -> None:
    scorer = load_teacher(teacher)
    found = scorer.probabilities(QUESTIONS, PASSAGES)
    model = BertForSequenceClassification.from_pretrained(teacher).train(False)
    tokens = PairTokenizer.load(teacher, 16).encode(QUESTIONS, PASSAGES)
    with torch.no_grad():
        for row in range(len(QUESTIONS)):
            inputs = {name: torch.from_numpy(array) for name, array in tokens.pad([row], 0).items()}
            expected = torch.softmax(model(**inputs).logits.double(), 1).numpy()[0]
            np.testing.assert_allclose(found[row], expected, atol=1e-6)
    assert found.dtype == np.float64
    assert scorer.parameters == sum(weight.numel() for weight in model.parameters())


def test_a_score_does_not_depend_on_its_batch_mates(teacher: Path) -> None:
    scorer = load_teacher(teacher)
    together = scorer.probabilities(QUESTIONS, PASSAGES)
    alone = np.concatenate([scorer.probabilities([q], [p]) for q, p in zip(QUESTIONS, PASSAGES, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_a_teacher_whose_classes_are_in_another_order_is_put_in_ours(teacher: Path) -> None:
    other = LabelSet("demo", ("yes", "no"), "yes")
    turned = load_teacher(teacher, other).probabilities(QUESTIONS, PASSAGES)
    np.testing.assert_array_equal(turned[:, ::-1], load_teacher(teacher).probabilities(QUESTIONS, PASSAGES))


def test_a_student_is_equation_6_of_its_headers(teacher: Path, tmp_path: Path) -> None:
    headers = [Header("demo/gold", None), Header("demo/T1", "ab"), Header("demo/T2", "cd")]
    student = Student.start(teacher, 1, "pooler", LABELS, headers, 16, seed=1)
    for parameter in student.headers.parameters():
        torch.nn.init.normal_(parameter, std=2.0)
    student.save(tmp_path, teacher)
    scorer = from_student_folder("TMKD", tmp_path, Hardware("cpu", "fp32"))
    found = scorer.probabilities(QUESTIONS, PASSAGES)
    inputs = {
        name: torch.from_numpy(array)
        for name, array in PairTokenizer.load(teacher, 16).encode(QUESTIONS, PASSAGES).pad(range(4), 0).items()
    }
    with torch.no_grad():
        raw = student.train(False)(**inputs).header_logits.double()
    np.testing.assert_allclose(found, torch.softmax(raw, 2).mean(1).numpy(), atol=1e-6)
    assert scorer.parameters < load_teacher(teacher).parameters


def test_a_folder_that_is_no_student_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"cannot be opened as student TMKD: "):
        from_student_folder("TMKD", tmp_path, Hardware("cpu", "fp32"))


class Fixed:
    """A scorer that always says the same."""

    def __init__(self, name: str, positive: float, precision: str = "fp32") -> None:
        self.name, self.positive, self.precision = name, positive, precision
        self.parameters, self.bytes = 10, 100

    def probabilities(self, questions: Sequence[str], passages: Sequence[str]) -> np.ndarray:
        return np.tile([1 - self.positive, self.positive], (len(questions), 1))

    def mean_tokens(self, questions: Sequence[str], passages: Sequence[str]) -> float:
        return 10 * self.positive


def test_a_mean_averages_probabilities_and_adds_sizes() -> None:
    members: tuple[Scorer, ...] = (Fixed("a", 0.9), Fixed("b", 0.5, "bf16"), Fixed("c", 0.1))
    mean = MeanScorer("teachers", members)
    np.testing.assert_allclose(mean.probabilities(["q", "r"], ["p", "p"]), [[0.5, 0.5], [0.5, 0.5]])
    assert (mean.parameters, mean.bytes, mean.precision) == (30, 300, "fp32+bf16")
    assert mean.mean_tokens(["q"], ["p"]) == pytest.approx(5.0)
    with pytest.raises(ValueError, match="at least one"):
        MeanScorer("none", ())


def test_mean_tokens_counts_special_tokens_and_truncation(teacher: Path) -> None:
    scorer = load_teacher(teacher)
    assert scorer.mean_tokens(["what is tea"], ["a drink"]) == 8
    assert scorer.mean_tokens(["what is tea"], ["a drink " * 20]) == 16


def test_a_logit_that_is_not_finite_is_an_error_with_its_pair(teacher: Path) -> None:
    broken = np.array([[0.0, 1.0], [np.nan, 1.0]], np.float32)
    scorer = NetworkScorer("T1", lambda questions, passages: broken, lambda questions, passages: 5.0, 1, 1, "fp32")
    with pytest.raises(TmkdError, match="T1: its logits for the pair 'why'"):
        scorer.probabilities(["what", "why"], ["p", "p"])


def test_very_sure_pairs_do_not_tie() -> None:
    logits = np.array([[0.0, 20.0], [0.0, 25.0]], np.float32)
    scorer = NetworkScorer("T1", lambda questions, passages: logits, lambda questions, passages: 5.0, 1, 1, "fp32")
    low, high = scorer.probabilities(["q", "q"], ["p", "p"])[:, 1]
    assert low < high < 1


def test_bytes_are_of_the_model_alone(teacher: Path, tmp_path: Path) -> None:
    for name, length in {"model.safetensors": 100, "config.json": 10, "manifest.json": 7, "notes.bin": 5}.items():
        (tmp_path / name).write_bytes(b"x" * length)
    assert bytes_on_disk(tmp_path) == 110
    assert bytes_on_disk(teacher) == load_teacher(teacher).bytes > 1000
