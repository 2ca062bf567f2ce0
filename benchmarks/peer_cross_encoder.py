"""A rerank server as many write it: FastAPI around sentence-transformers' CrossEncoder. Run by a Python that has both.

python benchmarks/peer_cross_encoder.py MODEL_FOLDER PORT
"""

from __future__ import annotations

import sys
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import CrossEncoder


class Body(BaseModel):
    """TEI's request."""

    query: str
    texts: list[str]


def make_app(folder: str) -> FastAPI:
    """The server."""
    model = CrossEncoder(folder, device="cpu", max_length=128)
    app = FastAPI()

    @app.post("/rerank")
    def rerank(body: Body) -> list[dict[str, Any]]:
        scores = model.predict([(body.query, text) for text in body.texts], show_progress_bar=False).tolist()
        best = sorted(range(len(scores)), key=lambda place: -scores[place])
        return [{"index": place, "score": scores[place]} for place in best]

    return app


if __name__ == "__main__":
    torch.set_num_threads(2)
    uvicorn.run(make_app(sys.argv[1]), port=int(sys.argv[2]), log_level="warning")
