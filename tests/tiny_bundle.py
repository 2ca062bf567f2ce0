"""A bundle made from a student of random weights, without a training run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertModel

import tiny
from tmkd.data.labels import LabelSet
from tmkd.export.onnx import export_bundle
from tmkd.export.parity import CheckSet
from tmkd.network import Student
from tmkd.network.encoder import Pool, quiet
from tmkd.network.headers import Header
from tmkd.store import write_manifest

PAIRS = [(question, passage) for question, passage, _ in tiny.pairs(range(12, 24))]
LABELS = LabelSet("toy", ("no", "yes"), "yes")


def checks() -> CheckSet:
    """Labelled pairs to check an export with."""
    rows = tiny.pairs(range(12))
    questions, passages, labels = zip(*rows, strict=True)
    golden = np.array([int(label == "yes") for label in labels])
    return CheckSet("test", questions, passages, golden, questions)


def make_distinct(student: Student, factor: float) -> None:
    """Random biases, for a fresh BERT's are 0 and none would be missed, and headers so large that answers differ."""
    with torch.no_grad():
        for name, weight in student.named_parameters():
            if "bias" in name:
                weight.normal_(std=0.3)
        for linear in student.headers.linears:
            linear.get_parameter("weight").mul_(factor)


def student_of(
    folder: Path,
    width: int = 64,
    heads: int = 2,
    neurons: int = 128,
    layers: int = 3,
    pool: Pool = "pooler",
    names: tuple[str, ...] = ("no", "yes"),
    activation: str = "gelu",
    headers: int = 3,
) -> Student:
    """A student of random weights whose int8 graph the kernel can run, from one of such a shape."""
    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=len(tiny.WORDS), hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=neurons, max_position_embeddings=700, initializer_range=0.2, hidden_act=activation,
    )  # fmt: skip
    base = folder / "base"
    base.mkdir()
    with quiet():
        BertModel(config).save_pretrained(base)
    tiny.write_tokenizer(base)
    named = [Header(f"toy/t{number}", str(number)) for number in range(headers)]
    student = Student.start(base, layers, pool, LabelSet("toy", names, names[-1]), named, 650, seed=3)
    make_distinct(student, 5)
    student.save(folder / "student", base)
    return Student.from_pretrained(folder / "student")


def write_bundle(folder: Path, labels: LabelSet = LABELS, width: int = 16) -> tuple[Path, Path]:
    """The folders of a student and of its bundle; of a width of 64 our own kernel runs it."""
    (folder / "base").mkdir()
    base = tiny.write_encoder(folder / "base", width=width)
    headers = (Header("toy/gold", None), Header("toy/ann", "aa"))
    student = Student.start(base, 2, "pooler", labels, headers, 32, seed=1)
    with torch.no_grad():
        for linear in student.headers.linears:
            linear.get_parameter("weight").mul_(40)  # else all probabilities are near one half
    student.save(folder / "student", base)
    bundle = folder / "bundle"
    bundle.mkdir()
    report = export_bundle(folder / "student", PAIRS, [checks()], bundle, force=True)
    write_manifest(bundle, "export", {}, {}, {"faults": report["faults"]}, 0.0)
    return folder / "student", bundle
