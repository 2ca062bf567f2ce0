"""Speed of BERT-base and BERT-large with random weights (Table 2): pairs/s in batches, milliseconds of one pair alone.

    python benchmarks/shapes.py --out shapes.json

The file is for `tmkd paper --shapes`. Weights need not be those of a trained model: time does not depend on them.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from statistics import median

import torch
from transformers import BertConfig, BertForSequenceClassification

from tmkd.evaluate.speed import in_turns
from tmkd.flow.checkout import commit_of
from tmkd.machine import cores, machine_line
from tmkd.report.shapes import Shapes, ShapeSpeed, shapes_json
from tmkd.store import write_atomic
from tmkd.train.hardware import pick_device

ROOT = Path(__file__).parents[1]
LENGTH, BATCH, REPEATS = 64, 32, 5  # a question and a passage of Table 3's mean lengths have about 64 token ids
# Vocabularies are those of BERT-base-uncased and BERT-large-cased, as in recipes/paper.yaml.
SHAPES = {
    "BERT-base": BertConfig(vocab_size=30522),
    "BERT-large": BertConfig(
        vocab_size=28996, hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096
    ),
}


def main() -> None:
    """Read the options, measure all shapes in turns, and write the file."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    given = options.parse_args()
    torch.set_num_threads(cores())
    speeds = measure(SHAPES, LENGTH, BATCH, REPEATS, pick_device("auto"))
    write_atomic(given.out, shapes_json(speeds))
    for one in speeds.shapes:
        print(
            f"{one.name}: {one.parameters / 1e6:.1f} M, {one.pairs_per_second:.1f} pairs/s, {one.alone_ms:.1f} ms alone"
        )


@torch.inference_mode()
def measure(configs: dict[str, BertConfig], length: int, batch: int, repeats: int, device: str) -> Shapes:
    """Measure models of these shapes in turns, after a warm-up; all work in float32."""
    models = {name: BertForSequenceClassification(config).eval().to(device) for name, config in configs.items()}
    smallest = min(config.vocab_size for config in configs.values())
    ids = torch.randint(smallest, (batch, length), generator=torch.Generator().manual_seed(1)).to(device)

    def score(model: BertForSequenceClassification, pairs: torch.Tensor) -> None:
        model(input_ids=pairs).logits.cpu()  # which waits for a device

    calls = {(name, size): partial(score, model, ids[:size]) for name, model in models.items() for size in (batch, 1)}
    for call in calls.values():
        call()
    seconds = {key: median(times) for key, times in in_turns(calls, repeats).items()}
    shapes = tuple(
        ShapeSpeed(
            name,
            sum(weight.numel() for weight in model.parameters()),
            batch / seconds[name, batch],
            1e3 * seconds[name, 1],
        )
        for name, model in models.items()
    )
    date = time.strftime("%Y-%m-%d")
    return Shapes(
        machine_line(), device, "fp32", date, commit_of(ROOT, ROOT / "results"), length, batch, repeats, shapes
    )


if __name__ == "__main__":
    main()
