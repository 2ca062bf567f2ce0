"""Packs the corpora of a run and the start weights of its recipe, as inputs of `benchmarks.gpu.study`.

    python -m benchmarks.gpu.pack recipes/webqa_gpu.yaml --run runs/webqa_gpu --out packed --pairs 1000000

The corpora are made by `tmkd collect`; the stage-1 corpus is cut to `--pairs`. The files hold token ids, no texts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow as pa
from benchmarks.gpu.inputs import write_pairs, write_start

from tmkd.data.text import PairTokenizer
from tmkd.flow.run_folder import RunFolder
from tmkd.recipe.reader import read_recipe


def main() -> None:
    """Read the options and write the files."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("recipe", type=Path)
    options.add_argument("--run", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--pairs", type=int, default=1_000_000)
    given = options.parse_args()
    recipe = read_recipe(given.recipe)
    run = RunFolder(recipe, given.recipe.resolve().parent, given.run)
    ((task, spec),) = recipe.tasks.items()
    (corpus,) = recipe.collect
    sets: dict[str, pa.Table] = {name: run.corpus(f"{task}/{name}").table() for name in ("train", "dev", *spec.tests)}
    sets[corpus] = run.corpus(corpus).table().slice(0, given.pairs)
    model = run.pretrained(recipe.student.base).path
    used = write_pairs(sets, PairTokenizer.load(model, recipe.student.max_length), given.out)
    write_start(model, used, given.out)
    size = sum(path.stat().st_size for path in given.out.iterdir())
    counts = ", ".join(f"{name} {table.num_rows}" for name, table in sets.items())
    print(f"{counts} pairs; {len(used)} word pieces in use; {size / 2**20:.1f} MiB in {given.out}")


if __name__ == "__main__":
    main()
