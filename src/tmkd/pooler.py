"""Pooler of a pretrained folder: whether it was ever trained, from config.json and its own weights."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import SafetensorError, safe_open

from tmkd.errors import TmkdError, first_line
from tmkd.pretrained.find import model_config

Use = Literal["encoder", "classifier"]

# Families of transformers whose encoder has a pooler with a dense layer: whether their sequence classifier reads it too
# (True), or has a dense layer of its own, which every fine-tuning draws anew (False).
FAMILIES = {
    **dict.fromkeys(("albert", "bert", "big_bird", "canine", "ernie", "fnet", "layoutlm", "luke", "markuplm"), True),
    **dict.fromkeys(("megatron-bert", "rembert", "roc_bert", "squeezebert", "tapas"), True),
    **dict.fromkeys(("camembert", "data2vec-text", "ibert", "lilt", "longformer", "mpnet", "roberta"), False),
    **dict.fromkeys(("roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"), False),
}
_AT_BIRTH = 1.25  # times the deviation that weights are drawn with: 1.05 was measured for 16 × 16 weights
_DEVIATION = 0.02  # of transformers, where config.json has no initializer_range


def never_trained(folder: Path, use: Use) -> bool:
    """Whether the pooler that an encoder or a classifier from this folder reads was never trained.

    True where its weights are missing, or as they were drawn: every bias 0 and the weights no larger than at birth; any
    gradient moves a bias. Of the models measured, all-MiniLM-L6-v2's weights have a deviation of .0091 and
    all-mpnet-base-v2's of .0200, both with biases of 0. False for a family without such a pooler.
    Raises: TmkdError when config.json or the weights cannot be read.
    """
    config = model_config(folder)
    family = config.get("model_type")
    if family not in FAMILIES or (use == "classifier" and not FAMILIES[family]):
        return False
    found = _pooler(folder)
    if found is None:
        return True
    weight, bias = found
    drawn = config.get("initializer_range")
    deviation = float(drawn) if isinstance(drawn, int | float) and drawn > 0 else _DEVIATION
    return bool(not bias.any() and weight.std() <= _AT_BIRTH * deviation)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that hold a folder's weights: one, or numbered pieces."""
    whole = folder / "model.safetensors"
    return [whole] if whole.is_file() else sorted(folder.glob("model-*.safetensors"))


def _pooler(folder: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Weight and bias of the pooler's dense layer, float32; None where one of them is missing."""
    found: dict[str, np.ndarray] = {}
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="np") as file:
                names = {kind: _named(file.keys(), kind) for kind in ("weight", "bias")}
                half = any(name and file.get_slice(name).get_dtype() == "BF16" for name in names.values())
            with safe_open(path, framework="pt" if half else "np") as file:  # numpy has no bfloat16
                for kind, name in names.items():
                    if name:
                        values = file.get_tensor(name)
                        found[kind] = np.asarray(values.float() if half else values, dtype=np.float32)
        except (OSError, SafetensorError) as error:
            raise TmkdError(f"{path}: no whole safetensors file: {first_line(error)}; copy it again") from error
    return (found["weight"], found["bias"]) if len(found) == 2 else None


def _named(names: list[str], kind: str) -> str | None:
    """Name of the dense layer's weight or bias: `pooler.dense.weight`, ALBERT's is `pooler.weight`."""
    wanted = (f"pooler.dense.{kind}", f"pooler.{kind}")
    return next((name for name in names if name.endswith(wanted)), None)
