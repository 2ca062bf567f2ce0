"""TextBrewer's MultiTeacherDistiller as a peer of our training. Run by a Python that has textbrewer==0.2.1.post1.

python benchmarks/peer_textbrewer.py GIVEN.json: trains as the file says and prints seconds and pairs/s as JSON. Its
`way` is `whole` (teachers score in every epoch, from texts on) or `cached` (logits are there, the loop alone is timed).
"""

from __future__ import annotations

import csv
import json
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from textbrewer import DistillationConfig, MultiTeacherDistiller, TrainingConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

Batch = dict[str, Tensor]


class Autocast(nn.Module):
    """A model in the number format that ours works in."""

    def __init__(self, model: nn.Module, bf16: bool) -> None:
        super().__init__()
        self.model, self.bf16 = model, bf16

    def forward(self, **inputs: Tensor) -> Any:
        inputs.pop("index")
        context: AbstractContextManager[Any] = torch.autocast("cpu", torch.bfloat16, enabled=self.bf16)
        with context:
            return self.model(**inputs)


class Stored(nn.Module):
    """A teacher whose logits are there: float32 (pairs, classes)."""

    def __init__(self, logits: np.ndarray) -> None:
        super().__init__()
        self.logits = torch.from_numpy(logits)

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        return {"logits": self.logits[inputs["index"]]}


def of_teacher(batch: Batch, outputs: Any) -> dict[str, Any]:
    """What a distiller reads of a teacher."""
    return {"logits": outputs["logits"].float()}


def of_student(batch: Batch, outputs: Any) -> dict[str, Any]:
    """What a distiller reads of the student: logits, and the golden loss."""
    return {"logits": outputs["logits"].float(), "losses": outputs["loss"]}


def padded(rows: list[dict[str, Any]]) -> Batch:
    """A batch as long as its longest pair."""
    longest = max(len(row["input_ids"]) for row in rows)
    batch = {
        name: torch.tensor([row[name] + [0] * (longest - len(row[name])) for row in rows])
        for name in ("input_ids", "token_type_ids", "attention_mask")
    }
    return batch | {name: torch.tensor([row[name] for row in rows]) for name in ("labels", "index")}


def read_texts(path: Path, tokenizer_of: Path, longest: int) -> list[dict[str, Any]]:
    """Pairs of a TSV file, tokenised."""
    with path.open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_of)
    texts = [line["question"] for line in lines], [line["passage"] for line in lines]
    encoded = tokenizer(*texts, truncation="only_second", max_length=longest, return_token_type_ids=True)
    names = ("input_ids", "token_type_ids", "attention_mask")
    return [
        {name: encoded[name][row] for name in names} | {"labels": int(line["label"] == "yes"), "index": row}
        for row, line in enumerate(lines)
    ]


def read_ids(path: Path) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Pairs as token ids, and the teachers' logits, float32 (pairs, teachers, classes)."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    ends = np.cumsum(arrays["lengths"])[:-1]
    ids, types = (np.split(arrays[name], ends) for name in ("ids", "types"))
    rows = [
        {"input_ids": one.tolist(), "token_type_ids": kind.tolist(), "attention_mask": [1] * len(one)}
        | {"labels": int(label), "index": row}
        for row, (one, kind, label) in enumerate(zip(ids, types, arrays["labels"], strict=True))
    ]
    return rows, arrays["soft"]


def main() -> None:
    """Read what is given, train, print."""
    begun = time.perf_counter()
    given = json.loads(Path(sys.argv[1]).read_bytes())
    torch.manual_seed(1)
    teachers: list[nn.Module]
    if given["way"] == "whole":
        rows = read_texts(Path(given["texts"]), Path(given["teachers"][0]), given["longest"])
        loaded = (BertForSequenceClassification.from_pretrained(folder) for folder in given["teachers"])
        teachers = [Autocast(model.eval(), given["bf16"]) for model in loaded]
    else:
        rows, soft = read_ids(Path(given["ids"]))
        teachers = [Stored(soft[:, place]) for place in range(soft.shape[1])]
    config = BertConfig.from_pretrained(given["start"])
    config.num_hidden_layers = given["layers"]
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    student = Autocast(BertForSequenceClassification(config).train(), given["bf16"])
    steps = -(-len(rows) // given["batch"]) * given["epochs"]
    distiller = MultiTeacherDistiller(
        TrainingConfig(device="cpu", output_dir=given["out"]),
        DistillationConfig(
            kd_loss_type="mse",
            kd_loss_weight=given["alpha"],
            hard_label_weight=1 - given["alpha"],
            is_caching_logits=given["way"] == "cached",
        ),
        teachers,
        student,
        of_teacher,
        of_student,
    )
    cache = distiller.cache_logits

    def noted(*arguments: Any) -> None:
        nonlocal begun
        cache(*arguments)
        begun = time.perf_counter()

    distiller.cache_logits = noted
    with distiller:
        distiller.train(
            torch.optim.AdamW(student.parameters(), lr=given["rate"], weight_decay=0.01, fused=True),
            DataLoader(rows, batch_size=given["batch"], shuffle=True, collate_fn=padded),  # type: ignore[arg-type]
            num_epochs=given["epochs"],
            scheduler_class=torch.optim.lr_scheduler.LinearLR,
            scheduler_args={"start_factor": 1.0, "end_factor": 1e-3, "total_iters": steps},
            max_grad_norm=1.0,
        )
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "pairs_per_second": len(rows) * given["epochs"] / seconds}))


if __name__ == "__main__":
    main()
