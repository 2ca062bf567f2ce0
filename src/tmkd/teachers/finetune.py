"""Fine-tune a teacher on a task's golden labels: Eq. 2, which is Eq. 5 with α = 0 and one golden header (§4.4)."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from tmkd import ranks
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus, require_golden
from tmkd.data.text import PairTokenizer
from tmkd.data.token_store import MappedTokens, open_tokens, write_tokens
from tmkd.errors import TmkdError
from tmkd.network.encoder import fresh_pooler, quiet
from tmkd.network.opening import refuse_padding
from tmkd.progress import progress
from tmkd.recipe import schema
from tmkd.store import WORK
from tmkd.teachers.network import TeacherNetwork, forward, in_own_order, open_model
from tmkd.train.batches import Examples
from tmkd.train.dev import dev_score
from tmkd.train.hardware import Hardware
from tmkd.train.loop import fit
from tmkd.train.trainer import Training

SCRATCH = ".tokens"  # folder of the training pairs' token ids while the teacher is trained


def finetune(
    name: str,
    teacher: schema.TeacherSpec,
    base: Path,
    train: Corpus,
    dev: Corpus,
    folder: Path,
    hardware: Hardware,
) -> dict[str, Any]:
    """Train T_i from a pretrained folder; write a normal transformers folder and return the fit's facts.

    The weights of the epoch that is best on dev are kept. Under torchrun all ranks call this, rank 0 writes, and the
    facts of the others are empty. Raises: TmkdError when a training pair has no golden label, unless the teacher's
    entry drops it.
    """
    own = untrained(name, teacher, base, train.labels)
    model, tokenizer, scratch = own.model, own.tokenizer, folder / SCRATCH
    ranks.from_first(lambda: _tokenise(name, teacher, train, tokenizer, scratch))
    examples = _examples(train, tokenizer, scratch)
    report = fit(
        model,
        lambda network, inputs: forward(network, inputs).unsqueeze(1),
        examples,
        Training(teacher.fit, alpha=0.0, seed=teacher.seed, hardware=hardware),
        work=folder / WORK,
        dev=dev_score(lambda inputs: forward(model, inputs), dev, tokenizer, hardware, teacher.fit.keep),
        title=f"teach {name}",
    )
    if not ranks.is_first():
        return {}
    shutil.rmtree(scratch)
    try:
        with quiet():
            model.save_pretrained(folder)
    except (OSError, SafetensorError) as error:
        raise TmkdError(f"{folder}: the teacher cannot be written: {error}") from error
    tokenizer.save(folder)
    return {**asdict(report), "pairs": len(examples)}


def _tokenise(name: str, teacher: schema.TeacherSpec, train: Corpus, tokenizer: PairTokenizer, scratch: Path) -> None:
    """Write the token ids of the training pairs to a scratch folder, to be mapped."""
    if teacher.unlabelled == "error" and (train.label_array() < 0).any():
        require_golden(train.table())
    scratch.mkdir(exist_ok=True)
    with progress(f"tokens of {name}", "pairs") as report:
        write_tokens(train, tokenizer, scratch, report)


def _examples(train: Corpus, tokenizer: PairTokenizer, scratch: Path) -> Examples:
    """Map the labelled pairs of what `_tokenise` has written."""
    store = open_tokens(scratch, train)
    tokens, labels = store.tokens, store.labels
    labelled = np.flatnonzero(labels >= 0)
    if len(labelled) < len(labels):
        tokens = MappedTokens(tokens.flat_ids, tokens.flat_types, tokens.starts[labelled], tokens.lengths[labelled])
        labels = labels[labelled]
    return Examples(tokens, labels, tokenizer.settings.pad_id)


def untrained(name: str, teacher: schema.TeacherSpec, base: Path, labels: LabelSet) -> TeacherNetwork:
    """Open a pretrained folder as a teacher before its training, on the CPU, with a head drawn with its seed.

    Raises: TmkdError when the folder cannot be opened, or its network cannot be trained in padded batches.
    """
    torch.manual_seed(teacher.seed)
    id2label = dict(enumerate(labels.names))
    label2id = {label: index for index, label in id2label.items()}
    model = open_model(base, name, num_labels=len(labels.names), id2label=id2label, label2id=label2id)
    if teacher.fresh_pooler is True:
        fresh_pooler(model.base_model, teacher.seed)
    own = in_own_order(base, model, teacher.max_length)
    refuse_padding(own.logits, own.tokenizer.settings.max_length, f"teacher {name}: {base}")
    return own
