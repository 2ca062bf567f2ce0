"""FlashRank with a bundle's model.onnx: pairs/s and scores. Run by a Python that has FlashRank alone.

python benchmarks/peer_flashrank.py BUNDLE < requests.json      # [[question, [passage, …]], …]
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from flashrank import Ranker, RerankRequest

_NAME = "ms-marco-TinyBERT-L-2-v2"  # a name that it knows, over our files
_SECONDS = 8.0


def made_folder(bundle: Path, cache: Path) -> None:
    """Write the folder that FlashRank opens under its name."""
    folder = cache / _NAME
    folder.mkdir()
    content = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    shutil.copy(bundle / "model.onnx", folder / "flashrank-TinyBERT-L-2-v2.onnx")
    shutil.copy(bundle / "tokenizer.json", folder)
    files = {
        "config.json": {"pad_token_id": content["text"]["pad_id"]},
        "tokenizer_config.json": {"model_max_length": content["text"]["max_length"], "pad_token": "[PAD]"},
        "special_tokens_map.json": {
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
        },
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value), encoding="utf-8")


def main() -> None:
    """Rank the requests again and again; print pairs/s and each request's scores in its order."""
    requests = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as cache:
        made_folder(Path(sys.argv[1]), Path(cache))
        ranker = Ranker(_NAME, cache_dir=cache)
        scores = []
        for question, texts in requests:
            passages = [{"id": place, "text": text} for place, text in enumerate(texts)]
            ranked = ranker.rerank(RerankRequest(query=question, passages=passages))
            scores.append([float(one["score"]) for one in sorted(ranked, key=lambda one: one["id"])])
        began, pairs = time.perf_counter(), 0
        while time.perf_counter() - began < _SECONDS:
            for question, texts in requests:
                passages = [{"id": place, "text": text} for place, text in enumerate(texts)]
                ranker.rerank(RerankRequest(query=question, passages=passages))
                pairs += len(texts)
        print(json.dumps({"pairs_per_second": pairs / (time.perf_counter() - began), "scores": scores}))


if __name__ == "__main__":
    main()
