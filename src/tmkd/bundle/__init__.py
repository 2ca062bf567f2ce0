"""Serving: the bundle, a folder of ONNX graphs and a tokenizer, and the ranker over it. No torch here."""

from __future__ import annotations

from tmkd.bundle.ranker import Ranker

__all__ = ["Ranker"]
