"""A BERT read out of an ONNX file: it computes the same, or is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from transformers import BertModel

import tiny
from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError
from tmkd.network.encoder import open_encoder
from tmkd.pretrained.onnx_bert import bert_weights, write_bert
from tmkd.pretrained.package_files import PackageFile

Export = Callable[..., tuple[bytes, BertModel]]


def write_lender(folder: Path, **changes: Any) -> Path:
    """A BERT with the tokenizer and 4 heads, as the exported one; of other sizes."""
    tiny.write_encoder(folder)
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({**config, "num_attention_heads": 4, **changes}))
    return folder


def files(folder: Path, model: bytes, *names: str) -> list[PackageFile]:
    (folder / "model").write_bytes(model)
    return [PackageFile(name, len(model), folder / "model", False) for name in names or ("m/a.onnx", "m/readme")]


def new_folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize("pooling", ["none", "mean"])
def test_the_folder_computes_what_the_onnx_file_does(tmp_path: Path, exported: Export, pooling: str) -> None:
    model, bert = exported(pooling)
    folder, lender = new_folder(tmp_path / "made"), write_lender(tmp_path / "lender")
    write_bert("p", files(tmp_path, model), hashlib.sha256(model).hexdigest(), lender, folder)
    opened = open_encoder(folder)
    assert opened.config.num_hidden_layers == 2
    assert {name: tuple(weight.shape) for name, weight in opened.named_parameters() if "pooler" not in name} == {
        name: tuple(weight.shape) for name, weight in bert.named_parameters()
    }
    tokens = PairTokenizer.load(folder, 20).encode(["what is the moon"], ["a stone"])
    given = torch.tensor(tokens.flat_ids)[None].long(), torch.ones(1, len(tokens.flat_ids)).long()
    with torch.inference_mode():
        ours, theirs = (network(*given).last_hidden_state for network in (opened, bert))
    assert ours == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize(
    ("heads", "pooling"),
    [(2, "none"), (8, "mean"), (4, "first")],
    ids=["other heads", "other heads, pooled", "another pooling"],
)
def test_a_bert_that_computes_something_else_is_refused(
    tmp_path: Path, exported: Export, heads: int, pooling: str
) -> None:
    folder, lender = new_folder(tmp_path / "made"), write_lender(tmp_path / "lender", num_attention_heads=heads)
    with pytest.raises(TmkdError, match=r"^p: a BERT with the weights of its ONNX file differs from it by \d"):
        write_bert("p", files(tmp_path, exported(pooling)[0]), None, lender, folder)
    assert [*folder.iterdir()] == []


def test_a_changed_weight_is_seen_through_its_digest(tmp_path: Path, exported: Export) -> None:
    model, lender = exported()[0], write_lender(tmp_path / "lender")
    with pytest.raises(TmkdError, match=rf"^p: SHA-256 of m/a\.onnx is [0-9a-f]+, the recipe says {'0' * 64}$"):
        write_bert("p", files(tmp_path, model), "0" * 64, lender, new_folder(tmp_path / "made"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"vocab_size": 30_522}, r"cannot have the tokenizer of .*lender, a bert of 30522 word pieces"),
        ({"model_type": "mpnet"}, r"cannot have the tokenizer of .*lender, a mpnet of"),
    ],
)
def test_the_tokenizer_of_another_vocabulary_is_refused(
    tmp_path: Path, exported: Export, changes: dict[str, Any], told: str
) -> None:
    lender = write_lender(tmp_path / "lender", **changes)
    with pytest.raises(TmkdError, match=told):
        write_bert("p", files(tmp_path, exported()[0]), None, lender, new_folder(tmp_path / "made"))


def other_graph() -> bytes:
    weight = numpy_helper.from_array(np.eye(3, dtype=np.float32), "w")
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [3, 3]) for name in "xy"]
    made: bytes = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [weight])
    ).SerializeToString()
    return made


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (b"no protobuf", "not an ONNX file"),
        (b"", "its ONNX file is no BERT"),
        (other_graph(), "its ONNX file is no BERT"),
    ],
)
def test_a_file_that_is_no_bert_is_an_error_of_one_line(tmp_path: Path, model: bytes, told: str) -> None:
    with pytest.raises(TmkdError, match=f"^p: {told}") as caught:
        write_bert("p", files(tmp_path, model), None, write_lender(tmp_path / "lender"), new_folder(tmp_path / "made"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("names", [("m/readme",), ("a.onnx", "b.onnx")])
def test_a_package_without_one_onnx_file_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(TmkdError, match=rf"^p holds {sum('onnx' in name for name in names)} ONNX files, not one"):
        write_bert("p", files(tmp_path, b"", *names), None, tmp_path, tmp_path)


def test_constants_in_another_file_are_refused() -> None:
    model = onnx.load_model_from_string(other_graph())
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    with pytest.raises(TmkdError, match="constants of its ONNX file lie in another file"):
        bert_weights("p", model.SerializeToString())
