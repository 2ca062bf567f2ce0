"""Fine-tune a teacher on a task's golden labels: Eq. 2, which is Eq. 5 with α = 0 and one golden header (§4.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from tmkd.data.pairs import Corpus, require_golden
from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError
from tmkd.metrics.quality import accuracy
from tmkd.network.encoder import fresh_pooler, quiet
from tmkd.network.scoring import batched_logits
from tmkd.recipe import schema
from tmkd.teachers.network import forward, longest, open_model
from tmkd.train.batches import examples
from tmkd.train.loop import fit


def finetune(
    name: str,
    teacher: schema.TeacherSpec,
    base: Path,
    train: Corpus,
    dev: Corpus,
    folder: Path,
    work: Path,
    device: str,
    precision: str,
) -> dict[str, Any]:
    """Train T_i from a pretrained folder; writes a normal transformers folder and returns what the run found.

    The weights with the best dev accuracy are kept. Raises: TmkdError when a training pair has no golden label.
    """
    torch.manual_seed(teacher.seed)
    labels = train.labels
    require_golden(train)
    id2label = dict(enumerate(labels.names))
    model = open_model(
        base,
        name,
        num_labels=len(labels.names),
        id2label=id2label,
        label2id={label: i for i, label in id2label.items()},
    )
    if teacher.fresh_pooler:
        fresh_pooler(model.base_model, teacher.seed)
    tokenizer = PairTokenizer.load(base, longest(model.config, teacher.max_length))
    pad_id = tokenizer.settings.pad_id
    model.config.pad_token_id = pad_id
    model.to(device)
    dev_table, dev_labels = dev.table(), dev.label_array()
    dev_tokens = tokenizer.encode(dev_table["question"].to_pylist(), dev_table["passage"].to_pylist())

    def dev_accuracy() -> float:
        logits = batched_logits(lambda inputs: forward(model, inputs), dev_tokens, pad_id, device, precision)
        return accuracy(logits, dev_labels)

    report = fit(
        model,
        lambda network, inputs: forward(network, inputs).unsqueeze(1),
        examples(train.table(), tokenizer, None),
        golden=True,
        alpha=0.0,
        settings=teacher.fit,
        seed=teacher.seed,
        device=device,
        precision=precision,
        pad_id=pad_id,
        work=work,
        dev=dev_accuracy,
        title=f"teach {name}",
    )
    try:
        with quiet():
            model.save_pretrained(folder)
    except (OSError, SafetensorError) as error:
        raise TmkdError(f"{folder}: the teacher cannot be written: {error}") from error
    tokenizer.save(folder)
    return {
        "dev": report.dev,
        "best_epoch": report.best_epoch,
        "steps": report.steps,
        "seconds": report.seconds,
        "precision": precision,
        "pairs": len(train),
    }
