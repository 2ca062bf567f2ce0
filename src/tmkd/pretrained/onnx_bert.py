"""A BERT as an ONNX file, as torch exports it → a folder of safetensors that computes the same."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tmkd.errors import TmkdError, first_line, optional_import
from tmkd.onnx_runtime import onnx_runtime
from tmkd.pretrained.package_files import PackageFile, require_bounded
from tmkd.store import digest_bytes, json_bytes

Weights = dict[str, np.ndarray]

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_MOST_APART = 1e-5  # of a number of the network's output: float32 sums in another order differ by about 1e-6
_OF_BERT = re.compile(r"(?:^|\.)((?:embeddings|encoder|pooler)\..+\.(?:weight|bias))$")
_LAYER = re.compile(r"encoder\.layer\.(\d+)\.")
_NOT_ITS = ("_name_or_path", "architectures", "transformers_version", "dtype", "torch_dtype")


def write_bert(subject: str, files: Sequence[PackageFile], sha256: str | None, lender: Path, folder: Path) -> None:
    """Write the one ONNX file among `files` as config.json, model.safetensors and the tokenizer of another BERT.

    The file has no tokenizer, and no number of attention heads: both are taken from the folder `lender`.
    Raises: TmkdError when the file has another digest than `sha256`, is no BERT, or the BERT that is written has
    another output than it.
    """
    graphs = [file for file in files if file.name.endswith(".onnx")]
    if len(graphs) != 1:
        raise TmkdError(f"{subject} holds {len(graphs)} ONNX files, not one")
    require_bounded(graphs)
    model = b"".join(graphs[0].pieces())
    if sha256 is not None and digest_bytes(model) != sha256:
        raise TmkdError(f"{subject}: SHA-256 of {graphs[0].name} is {digest_bytes(model)}, the recipe says {sha256}")
    weights = bert_weights(subject, model)
    config = _config(subject, weights, lender)
    _compare(subject, model, weights, config)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_bytes(json_bytes(config))
    for name in TOKENIZER_FILES:
        if (lender / name).is_file():
            shutil.copyfile(lender / name, folder / name)


def bert_weights(subject: str, model: bytes) -> Weights:
    """Weights of a BERT in an ONNX file, by BertModel's names.

    Those of a linear layer have no name there: they are the constant that is multiplied before the named bias is added.
    Raises: TmkdError when the bytes are no ONNX file, or one whose constants lie in another file.
    """
    with optional_import(f"{subject}: an ONNX file needs", "onnx"):
        import onnx
        from onnx import numpy_helper
    try:
        graph = onnx.load_model_from_string(model).graph
    except Exception as error:  # protobuf's own kinds
        raise TmkdError(f"{subject}: not an ONNX file: {first_line(error)}") from error
    if any(constant.data_location == onnx.TensorProto.EXTERNAL for constant in graph.initializer):
        raise TmkdError(f"{subject}: constants of its ONNX file lie in another file")
    constants = {constant.name: constant for constant in graph.initializer}
    products = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    found: Weights = {}
    for name, constant in constants.items():
        if (match := _OF_BERT.search(name)) is not None:
            found[match[1]] = numpy_helper.to_array(constant)
    for node in graph.node if found else ():
        bias = next((match[1] for name in node.input if (match := _OF_BERT.search(name))), None)
        product = next((products[name] for name in node.input if name in products), None)
        if node.op_type == "Add" and bias is not None and product in constants:
            found[bias.removesuffix("bias") + "weight"] = numpy_helper.to_array(constants[product]).T
    return {name: np.array(values, dtype=np.float32, order="C") for name, values in found.items()}


def _config(subject: str, weights: Mapping[str, np.ndarray], lender: Path) -> dict[str, Any]:
    """The lender's config.json with the sizes of these weights."""
    try:
        config = json.loads((lender / "config.json").read_bytes())
        words, width = weights["embeddings.word_embeddings.weight"].shape
        sizes = {
            "vocab_size": words,
            "hidden_size": width,
            "num_hidden_layers": 1 + max(int(match[1]) for name in weights if (match := _LAYER.match(name))),
            "intermediate_size": len(weights["encoder.layer.0.intermediate.dense.bias"]),
            "max_position_embeddings": len(weights["embeddings.position_embeddings.weight"]),
            "type_vocab_size": len(weights["embeddings.token_type_embeddings.weight"]),
        }
    except (KeyError, ValueError) as error:
        raise TmkdError(f"{subject}: its ONNX file is no BERT ({first_line(error)})") from None
    if config.get("model_type") != "bert" or config.get("vocab_size") != words:
        theirs = f"a {config.get('model_type')} of {config.get('vocab_size')} word pieces"
        raise TmkdError(f"{subject}: a BERT of {words} word pieces cannot have the tokenizer of {lender}, {theirs}")
    kept = {key: value for key, value in config.items() if key not in _NOT_ITS}
    return {**kept, **sizes, "architectures": ["BertModel"]}


def _compare(subject: str, model: bytes, weights: Weights, config: dict[str, Any]) -> None:
    """Run the ONNX file and a BertModel of the weights on made-up ids.  Raises: TmkdError when they differ."""
    with optional_import(f"{subject}: an ONNX file needs", "onnx"):  # its extra brings all of these
        import torch
        from transformers import BertConfig, BertModel
    onnxruntime = onnx_runtime(f"{subject}: an ONNX file needs")
    draw = np.random.default_rng(1)
    length = min(32, config["max_position_embeddings"])
    ids = draw.integers(0, config["vocab_size"], (3, length))
    mask = (np.arange(length) < np.array([[length], [length // 2], [1]])).astype(np.int64)
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    try:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        wanted = {one.name for one in session.get_inputs()}
        outputs = session.run(None, {name: values for name, values in given.items() if name in wanted})
        fitting = [one for one in outputs if one.ndim in (2, 3) and one.shape[-1] == config["hidden_size"]]
        theirs = max(fitting, key=lambda one: one.ndim)  # the states where they are given, else an embedding
        with torch.random.fork_rng():
            bert = BertModel(BertConfig(**config), add_pooling_layer="pooler.dense.weight" in weights)
        bert.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
        with torch.inference_mode():
            ours = bert.eval()(**{name: torch.from_numpy(values) for name, values in given.items()})
        states = ours.last_hidden_state.numpy()
    except Exception as error:  # both libraries raise nearly every kind
        raise TmkdError(f"{subject}: its ONNX file cannot be compared with a BERT: {first_line(error)}") from error
    if theirs.ndim == 2:  # an embedding: the mean over the tokens
        states = (states * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    else:
        states, theirs = states[mask == 1], theirs[mask == 1]
    apart = float(np.abs(states - theirs).max()) if states.shape == theirs.shape else float("inf")
    if not apart <= _MOST_APART:
        raise TmkdError(f"{subject}: a BERT with the weights of its ONNX file differs from it by {apart:.2g}")
