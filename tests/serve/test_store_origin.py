from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from stores import ORIGIN
from tmkd.serve.store_origin import ScoredBy, StoreOrigin

SCORED_BY = ORIGIN.scored_by


def test_each_field_is_part_of_the_digest() -> None:
    values = asdict(SCORED_BY)
    scored = [ScoredBy(**{**values, name: "x" if isinstance(value, str) else 99}) for name, value in values.items()]
    others = [replace(ORIGIN, threshold=0.25), *(replace(ORIGIN, scored_by=one) for one in scored)]
    assert len({ORIGIN.digest, *(one.digest for one in others)}) == 1 + len(others)


def test_an_origin_is_read_from_its_json() -> None:
    assert StoreOrigin.of(asdict(ORIGIN)) == ORIGIN
    for wrong in ({}, {"scored_by": {}, "threshold": 0.5}, {"scored_by": asdict(SCORED_BY), "threshold": "high"}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            StoreOrigin.of(wrong)


def test_the_engine_is_told_with_its_width() -> None:
    assert SCORED_BY.engine_words == "int8, kernel, 2 bytes"
    assert replace(SCORED_BY, engine="onnxruntime", width=1).engine_words == "int8, onnxruntime, 1 byte"
    assert replace(SCORED_BY, precision="fp32", engine="onnxruntime", width=None).engine_words == "fp32, onnxruntime"
