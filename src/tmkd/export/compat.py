"""Export as BertForSequenceClassification with one logit, the format of CrossEncoder and rerank servers.

Such programs cannot compute Eq. 6, a mean of softmaxes; one logit approximates it. compat_report.json has the
agreement, measured on the written folder opened by transformers. docs/export.md lists the keys and files that each
program needs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, BertForSequenceClassification

from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError
from tmkd.export.compat_tokenizer import write_tokenizer
from tmkd.export.one_logit import Floats, OneLogit, fit_one_logit, log_odds
from tmkd.metrics.agreement import kendall_tau, kendall_tau_in_groups, top_1_agreement
from tmkd.metrics.quality import accuracy
from tmkd.network import Student, open_student
from tmkd.network.encoder import encoder_config, quiet, represent
from tmkd.network.scoring import batched_logits
from tmkd.store import json_bytes, read_manifest, write_atomic

REPORT = "compat_report.json"
CONFIG = "config.json"
SIGMOID = {"version": "5.1.2", "activation_fn": "torch.nn.modules.activation.Sigmoid"}  # sentence-transformers' layout


def export_compat(
    student_folder: Path,
    pairs: Sequence[tuple[str, str]],
    groups: Sequence[str] | None,
    labels: npt.ArrayLike | None,
    folder: Path,
) -> dict[str, Any]:
    """Write the student as a one-logit model, fitted and compared with it on these (question, passage) pairs.

    pairs: dev pairs; groups (pairs,): question ids, by default the questions; labels (pairs,): class indices, negative
    without one. `folder` is made if it is missing; its files with the same names are replaced, config.json last, since
    no program opens a folder without it. Returns the content of compat_report.json.
    Raises: TmkdError when the student has other than two classes, no BERT body or no pooler, cannot be opened, or
    there are no pairs; ValueError on groups or labels of another length.
    """
    if not pairs:
        raise TmkdError(f"{student_folder}: no pairs to fit one logit on; give those of dev")
    questions = [question for question, _ in pairs]
    groups = questions if groups is None else list(groups)
    golden = np.full(len(pairs), -1) if labels is None else np.asarray(labels)
    if len(groups) != len(pairs) or golden.shape != (len(pairs),):
        raise ValueError(f"{len(groups)} groups and {golden.shape} labels do not go with {len(pairs)} pairs")
    student = _open(student_folder)
    tokens = student.tokenizer.encode(questions, [passage for _, passage in pairs])
    vectors = _vectors(student, tokens)
    weights, biases = _differences(student)
    unit = fit_one_logit(vectors, weights, biases, groups)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        _write_model(student, unit, part)
        write_tokenizer(student.tokenizer, student_folder, part)
        logits, read = _score_with_transformers(part, pairs)
        manifest = read_manifest(student_folder)
        report = {
            "student": None if manifest is None else manifest.digest,
            "headers": len(weights),
            "fit": {
                "pairs": len(pairs),
                "groups": len(set(groups)),
                "ridge": unit.ridge,
                "held_out_error": unit.held_out_error,
                "held_out_error_of_mean": unit.held_out_error_of_mean,
            },
            **compare(log_odds(vectors @ weights.T + biases), logits, groups, golden, student.labels.positive_index),
            "read_differently": sum(
                not np.array_equal(ours, theirs) for ours, theirs in zip(tokens.ids, read.ids, strict=True)
            ),
        }
        write_atomic(part / REPORT, json_bytes(report))
        _put(part, folder)
    except (OSError, SafetensorError) as error:
        raise TmkdError(f"{folder}: the model cannot be written: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return report


def compare(
    student: Floats, compat: Floats, groups: Sequence[str], labels: npt.NDArray[np.int64], positive: int
) -> dict[str, Any]:
    """Measure the agreement of the one logit with the student.

    student, compat (pairs,): log-odds of the positive class; groups (pairs,); labels (pairs,), negative = none.
    Measures that need labels, or groups of two pairs, are None without them.
    """
    labelled = labels >= 0

    def right(scores: Floats) -> float | None:
        logits = np.zeros((len(scores), 2))
        logits[:, positive] = scores
        return accuracy(logits[labelled], labels[labelled]) if labelled.any() else None

    distance = np.abs(_sigmoid(student) - _sigmoid(compat))
    taken = np.unique(np.asarray(groups, dtype=object).astype(str), return_counts=True)[1]
    return {
        "pairs": len(student),
        "labelled": int(labelled.sum()),
        "accuracy": {"student": right(student), "compat": right(compat)},
        "kendall_tau": _known(kendall_tau(student, compat)),
        "kendall_tau_in_groups": _known(kendall_tau_in_groups(student, compat, groups)),
        "top_1_agreement": _known(top_1_agreement(student, compat, groups)),
        "groups_of_two_or_more": int((taken > 1).sum()),
        "largest_difference": float(distance.max()),
        "mean_difference": float(distance.mean()),
    }


def _open(folder: Path) -> Student:
    """Open a student that BertForSequenceClassification can represent but for the mean over headers."""
    student = open_student(folder)
    kind, classes = student.encoder.config.model_type, len(student.labels.names)
    if classes != 2:
        raise TmkdError(f"{folder}: one logit separates two classes, but task {student.labels.task} has {classes}")
    if kind != "bert":
        raise TmkdError(f"{folder}: its encoder is a {kind}; BertForSequenceClassification needs a BERT")
    if student.pool != "pooler":
        raise TmkdError(f"{folder}: pool: {student.pool}, but BertForSequenceClassification reads the pooler")
    return student


def _vectors(student: Student, tokens: TokenIds) -> Floats:
    """Representations h1 of the pairs, (pairs, width)."""

    def pooled(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return represent(
            student.encoder, "pooler", inputs["input_ids"], inputs["attention_mask"], inputs["token_type_ids"]
        )

    return batched_logits(pooled, tokens, student.tokenizer.settings.pad_id, "cpu", "fp32").astype(np.float64)


def _differences(student: Student) -> tuple[Floats, Floats]:
    """Weights (headers, width) and biases (headers,) of the positive class minus those of the other class."""
    positive = student.labels.positive_index

    def difference(name: str) -> Floats:
        both = torch.stack([linear.state_dict()[name] for linear in student.headers.linears]).double().numpy()
        less_the_other: Floats = both[:, positive] - both[:, 1 - positive]
        return less_the_other

    return difference("weight"), difference("bias")


def _write_model(student: Student, unit: OneLogit, folder: Path) -> None:
    """Write config.json and model.safetensors with the usual names of BERT's weights."""
    name = student.labels.positive
    config = AutoConfig.for_model(
        **encoder_config(student.encoder)
        | {
            "id2label": {0: name},
            "label2id": {name: 0},
            # transformers and vLLM apply a sigmoid to this type of problem.
            "problem_type": "multi_label_classification",
            "sentence_transformers": SIGMOID,
        }
    )
    model = BertForSequenceClassification(config)
    model.bert.load_state_dict(student.encoder.state_dict())
    with torch.no_grad():
        model.classifier.weight.copy_(torch.from_numpy(unit.weight)[None])
        model.classifier.bias.fill_(unit.bias)
    with quiet():
        model.save_pretrained(folder)
    # safetensors writes files readable by their owner only; a server in a container often runs as another user.
    shutil.copymode(folder / CONFIG, folder / "model.safetensors")


def _score_with_transformers(folder: Path, pairs: Sequence[tuple[str, str]]) -> tuple[Floats, TokenIds]:
    """Logits (pairs,) of the written model opened by transformers alone, and its own tokenizer's ids."""
    with quiet():
        model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    questions, passages = ([pair[side] for pair in pairs] for side in (0, 1))
    encoded = tokenizer(questions, passages, truncation=True)
    ids = [np.array(one) for one in encoded["input_ids"]]
    types = [np.array(one) for one in encoded.get("token_type_ids", map(np.zeros_like, ids))]
    tokens = TokenIds.of(ids, types)
    logits = batched_logits(lambda inputs: model(**inputs).logits[:, 0], tokens, tokenizer.pad_token_id, "cpu", "fp32")
    return logits.astype(np.float64), tokens


def _put(part: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)
    for path in sorted(part.iterdir(), key=lambda path: path.name == CONFIG):
        os.replace(path, folder / path.name)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _sigmoid(values: Floats) -> Floats:
    chance: Floats = np.exp(-np.logaddexp(0.0, -values))
    return chance
